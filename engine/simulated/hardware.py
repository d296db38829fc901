"""What a simulated engine is made of: how long one step takes, and how much KV cache there is.

    step = fixed + prefill * p + decode * n + kv_read * r + attention * sum(p_i * c_i)      (seconds)

over one engine step with ``p`` prefill tokens in all, ``n`` sequences that decode a token, ``r`` tokens of
context that these read, and chunks of ``p_i`` prefill tokens, each at a mean context of ``c_i``. The form is
that of Vidur (arXiv 2405.05465) and of its successors, reduced to what is linear.
Knows nothing of files: the shipped figures are in ``headway/profiles/hardware``.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

_Seconds = Annotated[float, Meta(ge=0)]
_Count = Annotated[int, Meta(ge=1)]


class StepTime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds of a step: fixed, by prefill token, by decoding sequence, by context token read, and by
    prefill token times its context."""

    fixed: _Seconds
    prefill: _Seconds
    decode: _Seconds
    kv_read: _Seconds
    attention: _Seconds = 0.0

    def seconds(
        self, *, prefill: int = 0, decode: int = 0, kv_read: float = 0, attention: float = 0
    ) -> float:
        """Seconds of one step."""
        return (
            self.fixed
            + self.prefill * prefill
            + self.decode * decode
            + self.kv_read * kv_read
            + self.attention * attention
        )

    def prefill_seconds(self, context: float, start: float = 0.0) -> float:
        """Seconds to prefill the tokens from ``start`` to ``context``, without the ``fixed`` part."""
        return self.prefill * (context - start) + self.attention * (context**2 - start**2) / 2


class Hardware(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One engine, with where its figures come from.

    ``measured`` says whether the figures were fitted to recorded steps (``source`` then says of what) or
    derived from published ones. ``kv_tokens`` is its KV cache.
    """

    name: str
    source: str
    measured: bool
    step: StepTime
    kv_tokens: _Count
    block_size: _Count = 16
    max_num_seqs: _Count = 256
    max_batched_tokens: _Count = 8192
    max_context: _Count = 131072
    weight_update_s: _Seconds = 1.0
    error: str = ""  # what the simulation was off by against real runs, for every table that uses it
