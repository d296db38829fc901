"""One workload on one fleet: what every policy of a comparison is given alike."""

from functools import lru_cache
from pathlib import Path

import msgspec

from headway.engine.simulated.hardware import Hardware

from ..bound import Bound, lower_bound
from ..pressure import pressure_of
from ..small_suites import suite_maker
from ..traces.options import TooLong
from ..traces.sessions import load_recorded
from ..workload import Workload

TRACE = "trace"


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Recorded sessions, and how to make a workload of them."""

    file: str
    clip_s: float = 60.0
    max_context: int | None = None
    too_long: TooLong = "cut"


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A suite at a pressure (or of so many groups) on engines of a kind, drawn by a seed."""

    suite: str
    pressure: float
    engines: int
    seed: int
    hardware: Hardware
    kv_tokens: int
    groups: int | None = None
    trace: Trace | None = None

    @property
    def where(self) -> str:
        """The cell in words."""
        size = f"pressure {self.pressure:g}" if self.groups is None else f"{self.groups} groups"
        return f"{self.suite}, {size}, {self.engines} engines, seed {self.seed}"


class Task(msgspec.Struct, frozen=True):
    """What is played in a cell."""

    workload: Workload
    bound: Bound
    pressure: float  # that was reached with whole groups


@lru_cache(maxsize=4)
def task_of(cell: Cell) -> Task:
    """Make a cell's workload and its bound; the last few are kept."""
    workload = _workload(cell)
    return Task(
        workload,
        lower_bound(workload, cell.hardware, engines=cell.engines, kv_tokens=cell.kv_tokens),
        pressure_of(workload, cell.hardware, engines=cell.engines, kv_tokens=cell.kv_tokens),
    )


def _workload(cell: Cell) -> Workload:
    if cell.trace is None:
        return suite_maker(cell.hardware)(
            cell.suite,
            seed=cell.seed,
            hardware=cell.hardware,
            engines=cell.engines,
            kv_tokens=cell.kv_tokens,
            pressure=cell.pressure,
            groups=cell.groups,
        )
    return load_recorded(
        Path(cell.trace.file),
        seed=cell.seed,
        hardware=cell.hardware,
        engines=cell.engines,
        kv_tokens=cell.kv_tokens,
        pressure=cell.pressure,
        groups=cell.groups,
        clip_s=cell.trace.clip_s,
        max_context=cell.trace.max_context,
        too_long=cell.trace.too_long,
    )
