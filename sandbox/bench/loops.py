"""Makes calls of an executor: closed, so many outstanding at once, or open, at given times of arrival.

Invariants: every call that is submitted is waited for and gives one sample; samples are in the order of
submission. Knows nothing of what the calls are.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator

from .executors import Executor
from .sample import Sample
from .snippets import BenchCall


async def closed_loop(
    executor: Executor, calls: Iterable[BenchCall], *, outstanding: int, seconds: float | None = None
) -> list[Sample]:
    """Keep ``outstanding`` calls outstanding while there are any; after ``seconds`` submit no more.

    One call is made at least.
    """
    waiting, samples = iter(calls), _Samples()
    until = None if seconds is None else time.perf_counter() + seconds

    async def caller() -> None:
        while until is None or not samples.begun or time.perf_counter() < until:
            call = next(waiting, None)
            if call is None:
                return
            await samples.take(executor, call, time.perf_counter())

    async with asyncio.TaskGroup() as group:
        for _ in range(outstanding):
            group.create_task(caller())
    return samples.in_order()


async def open_loop(
    executor: Executor, calls: Iterator[BenchCall], arrivals: Iterable[float]
) -> list[Sample]:
    """Submit each call at its time of arrival, whatever became of those before it."""
    samples, start = _Samples(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for arrival, call in zip(arrivals, calls, strict=False):
            due = start + arrival
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(samples.take(executor, call, due))
    return samples.in_order()


class _Samples:
    """Samples by the order of submission, which is not that of the answers."""

    def __init__(self) -> None:
        self._taken: dict[int, Sample | None] = {}

    @property
    def begun(self) -> bool:
        """Whether a call was submitted."""
        return bool(self._taken)

    async def take(self, executor: Executor, call: BenchCall, due: float) -> None:
        place = len(self._taken)
        self._taken[place] = None
        output, ran_s = await executor.run(call.code)
        ended = time.perf_counter()
        self._taken[place] = Sample(due, ended - ran_s, ended, output == call.expected)

    def in_order(self) -> list[Sample]:
        return [sample for sample in self._taken.values() if sample is not None]
