"""Samples GPUs while something runs, and emits what it reads on the event loop.

Drivers are read in a thread of their own, since they block. Their samples are stamped with ``clock``, and are
moved onto the loop's clock by what the two showed at the start; a driver's history arrives after events that
it precedes, by a second at most. Invariants: no driver's failure reaches the job; every wait has a limit; the
samplers are closed at the end. Knows nothing of vendors.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from headway.scheduler.events import EventSink, now_ns

from .coverage import Coverage, Tally
from .driver_thread import DriverThread
from .lines import describe, line
from .sample import GpuFacts, GpuSample
from .sampler import GpuSampler

T = TypeVar("T")


class GpuMonitor:
    """Reads ``samplers`` every ``period_s`` for as long as it is entered, and owns them.

    ``limit_s`` is how long a driver may take to answer; after that it is not asked again.
    """

    def __init__(
        self,
        sink: EventSink,
        *,
        samplers: Sequence[GpuSampler],
        period_s: float = 0.125,
        limit_s: float = 5.0,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._sink = sink
        self._samplers = samplers
        self._period_s = period_s
        self._limit_s = limit_s
        self._clock = clock
        self._thread = DriverThread()
        self._stopping = asyncio.Event()
        self._answers = True
        self._offset = 0
        self._end: int | None = None
        self._own_lines: dict[object, str] = {}  # by what each is about
        self._tallies: dict[str, Tally] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._call(self._read)  # what came before is nobody's
        await asyncio.sleep(0)  # uvloop's clock stands still within a pass
        start = now_ns()
        self._offset = start - self._clock()
        self._tallies = {facts.id: Tally(facts.id, start) for facts in self.facts()}
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._stopping.set()
        try:
            await self._task
            self._end = now_ns()
            await self._call(self._close)
        finally:
            self._task.cancel()
            self._thread.shutdown()

    def facts(self) -> list[GpuFacts]:
        """What is known of each GPU by now."""
        return [facts for sampler in self._samplers for facts in sampler.facts()]

    def lines(self) -> list[str]:
        """What could not be read, so far; each thing once."""
        return [*describe(self.facts()), *self._own_lines.values()]

    def coverage(self) -> list[Coverage]:
        """How finely and how completely each GPU was sampled while this was entered."""
        end = now_ns() if self._end is None else self._end
        return [tally.coverage(end) for tally in self._tallies.values()]

    async def _run(self) -> None:
        """Read every period, and once more at the end."""
        while self._answers and self._samplers and not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._period_s)
            for sample in await self._call(self._read) or []:
                self._emit(sample)

    def _emit(self, sample: GpuSample) -> None:
        sample = msgspec.structs.replace(sample, t=sample.t + self._offset)
        if tally := self._tallies.get(sample.gpu):
            tally.take(sample)
        self._sink.emit(sample)

    async def _call(self, call: Callable[[], T]) -> T | None:
        """Make a call in the thread, unless the driver has stopped to answer."""
        if not self._answers:
            return None
        try:
            loop = asyncio.get_running_loop()
            return await asyncio.wait_for(loop.run_in_executor(self._thread, call), self._limit_s)
        except TimeoutError:
            self._answers = False
            self._note("limit", f"the driver has not answered for {self._limit_s:g} s")
            return None

    def _read(self) -> list[GpuSample]:
        """In the thread: what is new. A sampler that fails is asked again the next time."""
        samples: list[GpuSample] = []
        for number, sampler in enumerate(self._samplers):
            try:
                samples += sampler.read()
            except Exception as error:
                self._note(number, f"a reading failed ({type(error).__name__}: {error})")
        return samples

    def _close(self) -> None:
        """In the thread, after the last reading."""
        for sampler in self._samplers:
            with contextlib.suppress(Exception):  # nothing is asked of it any more
                sampler.close()

    def _note(self, about: object, what: str) -> None:
        self._own_lines.setdefault(about, line(what))
