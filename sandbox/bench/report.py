"""What a benchmark leaves behind: its rows, how they came about, and what they say when put side by side.

Knows nothing of how it is shown.
"""

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

import headway

from ..result import Tier
from . import summary
from .plan import OURS, Plan
from .row import Measured, Mode, Row
from .summary import Burst, Isolation, Latency, Rate

_BURSTS = (
    "Bursts: memory is this process's, which makes the calls and serves them; a call was overtaken by those "
    "that were submitted after it and had ended before it began."
)
_MIXED = (
    "mixed: 65 % light, 10 % numpy, 5 % sympy, 10 % compute for 0.5 or 2 s, 10 % sleep for 1.5 or 2 s "
    "and hold their worker; 0.3 s a call on average."
)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows came about."""

    schema: str = "headway.bench.sandbox"
    command: str
    date: str
    tier: Tier | None
    cores: int
    processor: str
    kernel: str
    versions: dict[str, str]
    plan: Plan

    @property
    def machine(self) -> str:
        """One line for a person."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        tier = f", isolation tier {self.tier}" if self.tier else ""
        return f"{self.cores} cores ({self.processor}), Linux {self.kernel}{tier}; {versions}; {self.date}"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A benchmark's result. ``complete`` is false where it was ended before all was measured."""

    header: Header
    rates: list[Rate]
    latencies: list[Latency]
    bursts: list[Burst]
    isolation: list[Isolation]
    notes: list[str]
    rows: list[Row]
    complete: bool

    @property
    def lost(self) -> int:
        """How many calls this sandbox lost."""
        return sum(row.lost for row in self.rows if row.executor == OURS)


def make_report(header: Header, taken: Sequence[Measured], notes: Iterable[str], *, complete: bool) -> Report:
    """Put everything together."""
    rows = {mode: [one.row for one in taken if one.row.mode is mode] for mode in Mode}
    return Report(
        header=header,
        rates=summary.rates(rows[Mode.CLOSED]),
        latencies=summary.latencies([one for one in taken if one.row.mode is Mode.OPEN]),
        bursts=summary.bursts(rows[Mode.BURST]),
        isolation=summary.isolation(rows[Mode.CLOSED]),
        notes=list(dict.fromkeys(notes)),
        rows=[one.row for one in taken],
        complete=complete,
    )


def make_header(command: str, tier: Tier | None, plan: Plan) -> Header:
    """The header of a run on this machine."""
    return Header(
        command=command,
        date=datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        tier=tier,
        cores=len(os.sched_getaffinity(0)),
        processor=_processor(),
        kernel=platform.release(),
        versions={
            "headway": headway.__version__,
            "python": platform.python_version(),
            "numpy": importlib.metadata.version("numpy"),
            "sympy": importlib.metadata.version("sympy"),
        },
        plan=plan,
    )


def describe(plan: Plan) -> list[str]:
    """What has to be known to read the tables, in sentences."""
    closed = f"{plan.calls} calls" if plan.calls else f"{plan.seconds:g} s of calls"
    rounds = f"{plan.rounds} round{'s' if plan.rounds > 1 else ''}"
    return [
        f"{plan.workers} workers in every executor; {rounds}, seed {plan.seed}. Figures are medians over "
        "rounds [lowest–highest], ratios of the same round.",
        f"Rates: closed loops, {closed} with {plan.outstanding[0]} outstanding. CPU and cores: all that this "
        "process and those below it spent; unlike cores are a sign that the machine did something else, too.",
        "Latencies: open loops with Poisson arrivals, from arrival to answer, all rounds together; load: "
        "arrivals over the executor's own closed rate.",
        *([_BURSTS] if plan.bursts else []),
        *([_MIXED] if "mixed" in plan.snippets else []),
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
