import itertools
from collections.abc import Callable, Iterator
from typing import Any

from headway.profiles.gpu.driver import Activity, Identity, Meter, NotMeasured, Trouble
from headway.profiles.gpu.reader import GpuReader
from headway.profiles.gpu.sample import GpuSample, Measure

SECOND = 1_000_000_000


class Always:
    """A meter that finds the GPU half busy in the second before."""

    measure: Measure = "utilization"
    has_dram = True
    resolution_s = 1.0

    def read(self, handle: Any, now: int) -> list[Activity]:
        return [Activity(t=now, span_ns=SECOND, sm=0.5, dram=0.25)]

    def close(self) -> None:
        pass


class Scripted:
    """A driver of one GPU that counts what it is asked; ``meter`` is the one way to measure activity."""

    vendor = "V"

    def __init__(self, meter: Callable[[], Meter], *, refuses: str | None = None) -> None:
        self.meter = meter
        self.refuses = refuses
        self.asked = {"power": 0, "processes": 0}

    def count(self) -> int:
        return 1

    def identify(self, index: int) -> Identity:
        return Identity(id="uuid", name="G", key=None)

    def handle(self, gpu: Identity) -> None:
        return None

    def meters(self, handle: Any, now: int) -> Iterator[Callable[[], Meter]]:
        yield self.meter

    def memory_used(self, handle: Any) -> int:
        return 3

    def power_w(self, handle: Any) -> float:
        self.asked["power"] += 1
        if self.refuses is not None:
            raise OSError(self.refuses)
        return 4.0

    def energy_j(self, handle: Any) -> float:
        return 5.0

    def pids(self, handle: Any) -> list[int]:
        self.asked["processes"] += 1
        return [self.asked["processes"]]

    def trouble(self, error: Exception) -> Trouble:
        return Trouble("passing" if str(error) == "busy" else "absent", str(error))

    def close(self) -> None:
        pass


def lacking() -> Meter:
    raise NotMeasured("it has no counters")


def test_processes_are_listed_once_a_second_and_stand_in_every_sample() -> None:
    times = iter([0, *(quarter * SECOND // 4 for quarter in range(1, 9))])
    driver = Scripted(Always)
    reader = GpuReader(driver, 0, clock=lambda: next(times))
    pids = [reader.read()[0].pids for _ in range(8)]
    assert pids == [[1], [1], [1], [2], [2], [2], [2], [3]]
    assert driver.asked == {"power": 9, "processes": 3}


def test_a_gpu_that_tells_no_activity_is_still_read_for_the_rest() -> None:
    times = iter([0, 2 * SECOND, 5 * SECOND])
    reader = GpuReader(Scripted(lacking), 0, clock=lambda: next(times))
    assert [reader.read(), reader.read()] == [
        [GpuSample(t=t, gpu="uuid", span_ns=span, memory_used=3, power_w=4.0, energy_j=5.0, pids=[pid])]
        for t, span, pid in ((2 * SECOND, 2 * SECOND, 2), (5 * SECOND, 3 * SECOND, 3))
    ]
    assert reader.facts.metrics == ["memory", "power", "energy", "processes"]
    assert reader.facts.notes == ["no activity and no DRAM bandwidth (it has no counters)"]


def test_what_has_failed_for_good_is_not_asked_for_again_and_the_rest_is() -> None:
    times = itertools.count(0, SECOND)
    refusing, busy = Scripted(Always, refuses="never"), Scripted(Always, refuses="busy")
    for driver, asked in ((refusing, 1), (busy, 4)):
        reader = GpuReader(driver, 0, clock=lambda: next(times))
        samples = [sample for _ in range(3) for sample in reader.read()]
        assert [(sample.power_w, sample.energy_j) for sample in samples] == [(None, 5.0)] * 3
        assert driver.asked["power"] == asked
        assert len(reader.facts.notes) == 1
