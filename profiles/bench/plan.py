"""Which cells and policies a benchmark runs; everything is checked before anything runs."""

from collections.abc import Iterator
from itertools import groupby, product
from pathlib import Path

import msgspec

from headway.engine.simulated.hardware import Hardware
from headway.errors import InputError
from headway.scheduler import make_policy
from headway.scheduler.policies import NAMES, option_names

from ..suites import NAMES as SUITES
from .cell import TRACE, Cell, Trace, task_of
from .claims import DEFAULT, FIRST_COME
from .pool import Arm
from .sweep import SWEPT, swept_specs

MOST_PRESSURE = 1000  # workloads beyond it take longer to make than anybody waits


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. ``policies`` are specs of ``make_policy``; ``groups`` overrides the pressures."""

    hardware: Hardware
    kv_tokens: int
    suites: list[str]
    pressures: list[float]
    engines: list[int]
    seeds: list[int]
    policies: list[str]
    groups: int | None = None
    trace: Trace | None = None
    sweep_caps: bool = False

    def cells(self) -> Iterator[Cell]:
        """All cells, the cheap ones first."""
        pressures = sorted(self.pressures) if self.groups is None else [0.0]
        suites = [*self.suites, *([TRACE] if self.trace else [])]
        for pressure, engines, suite, seed in product(pressures, self.engines, suites, self.seeds):
            cell = Cell(
                suite=suite,
                pressure=pressure,
                engines=engines,
                seed=seed,
                hardware=self.hardware,
                kv_tokens=self.kv_tokens,
                groups=self.groups,
                trace=self.trace if suite == TRACE else None,
            )
            yield cell if self.groups is None else msgspec.structs.replace(cell, pressure=self._reached(cell))

    def _reached(self, cell: Cell) -> float:
        """The pressure by which a cell of so many groups is called: that of the first seed."""
        return float(f"{task_of(msgspec.structs.replace(cell, seed=self.seeds[0])).pressure:.2g}")

    def arms(self) -> list[Arm]:
        """Every cell with every policy; raises ``InputError`` for what cannot be run."""
        self.check()
        arms: list[Arm] = []
        for _, seeds in groupby(self.cells(), key=lambda cell: (cell.pressure, cell.engines, cell.suite)):
            cells = list(seeds)
            specs = [*self.policies, *(swept_specs(cells) if self.sweep_caps else [])]
            arms += product(cells, dict.fromkeys(specs))
        return arms

    def check(self) -> None:
        """Raise ``InputError`` for an unknown suite or policy, or a senseless choice."""
        for suite in self.suites:
            if suite not in SUITES:
                raise InputError(f"no suite is named {suite!r}; choose of: {', '.join(SUITES)}")
        for spec in [*self.policies, *([f"{SWEPT}:limit=1"] if self.sweep_caps else [])]:
            make_policy(spec)
        if not (self.suites or self.trace) or not self.policies:
            raise InputError("nothing to run: name at least one suite (or a trace) and one policy")
        for pressure in self.pressures:
            if not 0 < pressure <= MOST_PRESSURE:
                raise InputError(
                    f"--pressures {pressure:g}: a pressure is a number above 0 and at most {MOST_PRESSURE}, "
                    "such as 0.5 or 3"
                )
        for engines in self.engines:
            if engines < 1:
                raise InputError(f"--engines {engines}: at least one engine is needed")


def default_policies(*, sweep_caps: bool) -> list[str]:
    """Every policy there is; the one with a cap only where no sweep looks for the best cap."""
    return [name for name in NAMES if not (sweep_caps and name == SWEPT)]


def ablations() -> list[str]:
    """The default policy without each of the mechanisms that it can be told to leave out, and in order of
    arrival."""
    policy = make_policy(DEFAULT)
    without = [f"{DEFAULT}:{name}=off" for name in option_names(DEFAULT) if getattr(policy, name) is True]
    return [*without, FIRST_COME]


def trace_of(file: Path, *, clip_s: float, max_context: int | None) -> Trace:
    """A recorded file as part of a plan."""
    return Trace(file=str(file), clip_s=clip_s, max_context=max_context)
