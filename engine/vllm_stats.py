"""Turns vLLM's account of each engine step into ``EngineStats``.

Invariant: counters never fall; gauges are those of the latest step. Knows nothing of who reads them.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from vllm.v1.metrics.loggers import StatLoggerBase

from .protocol import EngineStats

OnStats = Callable[[EngineStats], None]


class StepLogger(StatLoggerBase):  # type: ignore[misc]
    """Called by vLLM's frontend after every step of the engine; passes the new figures to ``on_stats``."""

    def __init__(self, on_stats: OnStats) -> None:
        self._on_stats = on_stats
        self.stats = EngineStats()

    def record(
        self,
        scheduler_stats: Any,
        iteration_stats: Any,
        mm_cache_stats: Any = None,
        engine_idx: int = 0,
    ) -> None:
        """Add one step."""
        stats = self.stats
        if scheduler_stats is not None:
            stats = _with_gauges(stats, scheduler_stats)
        if iteration_stats is not None:
            stats = _with_counters(stats, iteration_stats)
        self._publish(stats)

    def idle(self) -> None:
        """Clear the gauges: an engine whose last turn was aborted takes no further step to say so."""
        self._publish(msgspec.structs.replace(self.stats, running=0, waiting=0, kv_usage=0.0))

    def log_engine_initialized(self) -> None:
        """Nothing to say: the engine's own log has it."""

    def _publish(self, stats: EngineStats) -> None:
        if stats != self.stats:
            self.stats = stats
            self._on_stats(stats)


def _with_gauges(stats: EngineStats, scheduler: Any) -> EngineStats:
    return msgspec.structs.replace(
        stats,
        running=scheduler.num_running_reqs,
        waiting=scheduler.num_waiting_reqs + scheduler.num_skipped_waiting_reqs,
        kv_usage=scheduler.kv_cache_usage,
    )


def _with_counters(stats: EngineStats, iteration: Any) -> EngineStats:
    return msgspec.structs.replace(
        stats,
        steps=stats.steps + 1,
        generated_tokens=stats.generated_tokens + iteration.num_generation_tokens,
        prompt_tokens=stats.prompt_tokens + iteration.num_prompt_tokens,
        cached_tokens=stats.cached_tokens + iteration.prompt_token_stats.cached_tokens,
        preemptions=stats.preemptions + iteration.num_preempted_reqs,
    )
