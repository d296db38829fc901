"""How a trace is to be read; what is not asked for stays as it was recorded."""

from pathlib import Path
from typing import Literal

import msgspec

TooLong = Literal["cut", "scale"]


class TraceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``clip_s``: the longest wait between two turns; ``max_context`` and ``turn_limit``: the longest context
    and turn, in tokens. A group that outgrows ``max_context`` ends there (``cut``), or all of it shrinks.

    ``attempt`` picks one of a run folder, from 1; by default the last. ``latency`` (see ``latency``),
    ``seed`` of it, and ``tokenizer`` (a model folder) are for chats, which have neither times nor tokens.
    """

    clip_s: float | None = None
    max_context: int | None = None
    too_long: TooLong = "cut"
    turn_limit: int | None = None
    attempt: int | None = None
    latency: tuple[str, ...] = ()
    seed: int = 0
    tokenizer: Path | None = None
