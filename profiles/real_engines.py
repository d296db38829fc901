"""Fresh vLLM engines of a small random model, for benchmarks on a machine without a GPU.

Invariant: every opening starts engines anew, with nothing in their caches. Knows nothing of workloads or of
policies.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from headway.engine import Engine, EngineConfig, Fleet

from .random_model import random_model

TURN_LIMIT_S = 3600.0  # what waits inside an engine included: more is a hang


class RealEngines(msgspec.Struct, frozen=True, kw_only=True):
    """What to start. ``model`` None is the random model of ``profiles.random_model``; one thread an engine.

    ``step_record`` is a folder in which the engines record their steps.
    """

    engines: int = 2
    kv_tokens: int = 20480
    max_context: int = 4096
    max_num_seqs: int = 64
    max_batched_tokens: int = 2048
    block_size: int = 32
    threads: int = 1
    model: str | None = None
    step_record: str | None = None

    def config(self) -> EngineConfig:
        """One engine's config; makes the random model where it is not there yet."""
        return EngineConfig(
            model=self.model or str(random_model()),
            kv_tokens=self.kv_tokens,
            max_context=self.max_context,
            max_num_seqs=self.max_num_seqs,
            max_batched_tokens=self.max_batched_tokens,
            block_size=self.block_size,
            threads=self.threads,
            step_record=self.step_record,
        )


@asynccontextmanager
async def open_real_engines(
    what: RealEngines | None = None, *, log_dir: Path | None = None
) -> AsyncIterator[Sequence[Engine]]:
    """Start the engines; they are stopped at the end."""
    what = what or RealEngines()
    async with Fleet(what.config(), engines=what.engines, log_dir=log_dir) as fleet:
        yield fleet.engines
