"""What the scheduler asks of anything that generates tokens: token ids in, token ids out.

Invariants: ``generate`` returns one logprob and one weight version for every token; an engine's
``kv_tokens`` is final once it has started. Knows nothing of trajectories, chat templates or policies.
"""

from pathlib import Path
from typing import Literal, Protocol

import msgspec

FinishReason = Literal["stop", "length", "abort"]


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How to sample one turn. ``stop_token_ids`` end the turn and are part of its tokens."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    stop_token_ids: tuple[int, ...] = ()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One turn to generate. A lower ``priority`` is served earlier."""

    id: str
    prompt: list[int]
    sampling: Sampling
    priority: int = 0


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of one turn, with what is known about each.

    ``logprobs[i]`` is the natural log of the probability of ``tokens[i]`` under the raw logits
    (temperature 1), ``versions[i]`` the version of the weights that sampled it. ``queue_s`` is the time from
    submission to the engine's first scheduling of the turn, ``first_token_s`` to its first token.
    """

    tokens: list[int]
    logprobs: list[float]
    versions: list[int]
    finish_reason: FinishReason
    cached_tokens: int = 0
    preemptions: int = 0
    queue_s: float = 0.0
    first_token_s: float = 0.0


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is fixed once an engine has started. ``kv_tokens`` is its KV cache in tokens (whole blocks)."""

    id: str
    kind: str
    version: str
    device: str
    kv_tokens: int
    block_size: int
    max_context: int


class EngineStats(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's own account after its latest step; all zero before the first.

    ``kv_usage`` counts blocks of running requests only (0..1): what waiting trajectories left behind as
    evictable cache is not in it. Counters are cumulative.
    """

    steps: int = 0
    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0
    generated_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    preemptions: int = 0


class Engine(Protocol):
    """Generates tokens. Every method raises ``EngineDead`` once the engine has died."""

    @property
    def info(self) -> EngineInfo:
        """What is fixed once the engine has started."""
        ...

    def stats(self) -> EngineStats:
        """The latest figures, without waiting for the engine."""
        ...

    async def generate(self, request: Request) -> Generation:
        """Generate one turn; cancelling the caller aborts it on the engine."""
        ...

    async def abort(self, request_id: str) -> None:
        """End a turn early: its ``generate`` returns what there is, with ``finish_reason="abort"``."""
        ...

    async def pause(self) -> None:
        """Stop stepping; turns in flight stay where they are until ``resume``."""
        ...

    async def resume(self) -> None:
        """Go on after ``pause``."""
        ...

    async def update_weights(self, weights: Path, version: int) -> None:
        """Load new weights (a safetensors file in HF names) into the live engine.

        All cached KV is dropped; turns in flight are recomputed under the new weights and go on. Every
        token sampled afterwards carries ``version``.
        """
        ...

    async def close(self) -> None:
        """Stop the engine and leave no process behind; safe to call twice."""
        ...
