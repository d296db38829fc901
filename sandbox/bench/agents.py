"""Many agents that wait for their tool calls at once, and how far that makes their event loop fall behind.

The lag is that of a timer in the loop that schedules the agents: what a scheduler in it would be late by.
Knows nothing of models: an agent here is the wait alone.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import msgspec

from ..result import Limits, Sandbox, Snippet, Status
from . import usage
from .row import percentiles

_BEAT_S = 0.005
_LIMITS = Limits(wall_s=60.0, cpu_s=60.0)


class Agents(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the calls, and the loop's lag in milliseconds."""

    agents: int
    answered: int
    lost: int
    most_waiting: int
    seconds: float
    calls_per_s: float
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    memory_peak_bytes: int


async def wait_for_all(
    sandbox: Sandbox, *, agents: int, within_s: float, seed: int, on_answer: Callable[[], None] = lambda: None
) -> Agents:
    """Let every agent make one call, at a random time within ``within_s`` seconds, and wait for all."""
    rng = random.Random(seed)
    starts = sorted(rng.random() * within_s for _ in range(agents))
    counts = _Counts()
    lags: list[float] = []
    beats = asyncio.create_task(_beat(lags))
    usage.reset_peak_memory()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, start in enumerate(starts):
            await asyncio.sleep(max(0.0, began + start - time.perf_counter()))
            group.create_task(_agent(sandbox, number, counts, on_answer))
    seconds = time.perf_counter() - began
    beats.cancel()
    await asyncio.gather(beats, return_exceptions=True)
    p50, p99, most = (1000 * lag for lag in _percentiles(lags))
    return Agents(
        agents=agents,
        answered=counts.right,
        lost=agents - counts.right,
        most_waiting=counts.most_waiting,
        seconds=seconds,
        calls_per_s=agents / seconds,
        lag_p50_ms=p50,
        lag_p99_ms=p99,
        lag_max_ms=most,
        memory_peak_bytes=usage.peak_memory_bytes(),
    )


class _Counts:
    def __init__(self) -> None:
        self.right = self.waiting = self.most_waiting = 0


async def _agent(sandbox: Sandbox, number: int, counts: _Counts, on_answer: Callable[[], None]) -> None:
    counts.waiting += 1
    counts.most_waiting = max(counts.most_waiting, counts.waiting)
    result = await sandbox.run(Snippet(code=f"print({number})", limits=_LIMITS))
    counts.waiting -= 1
    counts.right += (result.status, result.stdout) == (Status.OK, f"{number}\n")
    on_answer()


async def _beat(lags: list[float]) -> None:
    """Note how late a timer is, again and again."""
    while True:
        due = time.perf_counter() + _BEAT_S
        await asyncio.sleep(_BEAT_S)
        lags.append(time.perf_counter() - due)


def _percentiles(lags: Sequence[float]) -> list[float]:
    return percentiles(lags or [0.0], (50, 99, 100))
