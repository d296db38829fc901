import asyncio
import itertools
import threading
from collections.abc import Callable

import pytest

from headway.profiles.gpu import GpuFacts, GpuMonitor, GpuSample
from headway.profiles.gpu.coverage import Coverage
from headway.profiles.virtual_time import run_virtual
from headway.scheduler.events import Event, now_ns

SECOND = 1_000_000_000
ELSEWHERE = 7 * SECOND  # how far the samplers' clock is from the loop's


def their_clock() -> int:
    return now_ns() + ELSEWHERE


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


class Scripted:
    """A sampler of one GPU that is busy all the time; ``before`` is called in each reading."""

    def __init__(
        self, gpu: str, before: Callable[[], None] = lambda: None, notes: tuple[str, ...] = ()
    ) -> None:
        self.gpu = gpu
        self.notes = list(notes)
        self.closed = 0
        self.clock: Callable[[], int] = their_clock
        self._before = before
        self._since = 0

    def facts(self) -> list[GpuFacts]:
        return [GpuFacts(id=self.gpu, name="G", vendor="V", index=0, metrics=["sm"], notes=list(self.notes))]

    def read(self) -> list[GpuSample]:
        self._before()
        now = self.clock()
        span, self._since = now - self._since, now
        return [GpuSample(t=now, gpu=self.gpu, span_ns=span, sm=1.0)]

    def close(self) -> None:
        self.closed += 1


def failing() -> Callable[[], None]:
    count = itertools.count(1)

    def fail() -> None:
        raise OSError(f"failure {next(count)}")

    return fail


def test_samples_come_every_period_on_the_clock_of_the_loop() -> None:
    sink, sampler = Kept(), Scripted("a")

    async def main() -> list[Coverage]:
        await asyncio.sleep(3)
        async with GpuMonitor(sink, samplers=[sampler], period_s=0.5, clock=their_clock) as monitor:
            await asyncio.sleep(1.75)
        await asyncio.sleep(3)
        return monitor.coverage()

    coverage = run_virtual(main())
    assert sink.events == [
        GpuSample(t=3 * SECOND + at, gpu="a", span_ns=span, sm=1.0)
        for at, span in (
            (SECOND // 2, SECOND // 2),
            (SECOND, SECOND // 2),
            (SECOND * 3 // 2, SECOND // 2),
            (SECOND * 7 // 4, SECOND // 4),
        )
    ]
    assert coverage == [Coverage(gpu="a", samples=4, resolution_s=0.5, share=1.0)]
    assert sampler.closed == 1


def test_a_sampler_that_fails_is_one_line_and_the_others_go_on() -> None:
    sink, samplers = Kept(), [Scripted("a", failing()), Scripted("b", notes=("no energy (Not Supported)",))]

    async def main() -> list[str]:
        async with GpuMonitor(sink, samplers=samplers, period_s=0.5, clock=their_clock) as monitor:
            await asyncio.sleep(2.25)
        return monitor.lines()

    assert run_virtual(main()) == [
        "GPU counters: GPU 0 (G): no energy (Not Supported); the profile goes on without it",
        "GPU counters: a reading failed (OSError: failure 1); the profile goes on without it",
    ]
    assert len(sink.events) == 5
    assert [sampler.closed for sampler in samplers] == [1, 1]


def test_the_samplers_are_closed_where_the_job_fails() -> None:
    sampler = Scripted("a")

    async def main() -> None:
        async with GpuMonitor(Kept(), samplers=[sampler], clock=their_clock):
            raise LookupError("the job")

    with pytest.raises(LookupError, match="the job"):
        run_virtual(main())
    assert sampler.closed == 1


def test_without_samplers_there_is_nothing_to_say() -> None:
    async def main() -> tuple[list[str], list[Coverage]]:
        async with GpuMonitor(Kept(), samplers=[], clock=their_clock) as monitor:
            await asyncio.sleep(60)
        return monitor.lines(), monitor.coverage()

    assert run_virtual(main()) == ([], [])


async def test_a_driver_that_never_answers_holds_up_neither_the_job_nor_its_end() -> None:
    answer, hangs = threading.Event(), threading.Event()

    def hang_at_the_third() -> None:
        readings.append(threading.current_thread())
        if len(readings) == 3:
            hangs.set()
            answer.wait(60)

    readings: list[threading.Thread] = []
    sampler = Scripted("a", hang_at_the_third)
    sampler.clock = lambda: len(readings)
    sink = Kept()
    try:
        async with asyncio.timeout(10):
            async with GpuMonitor(sink, samplers=[sampler], period_s=0.01, limit_s=0.2) as monitor:
                assert await asyncio.to_thread(hangs.wait, 5)
        assert monitor.lines() == [
            "GPU counters: the driver has not answered for 0.2 s; the profile goes on without it"
        ]
        assert len(sink.events) == 1
        assert sampler.closed == 0
        assert set(readings) != {threading.current_thread()}
        assert all(thread.daemon for thread in readings)
    finally:
        answer.set()
