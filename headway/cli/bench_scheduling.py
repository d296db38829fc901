"""``headway bench scheduling``: from options to a plan, through the processes, to tables and files.

Invariant: what was measured is shown and written, however the command ends.
"""

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console

from headway.errors import HeadwayError, InputError
from headway.profiles.bench.cell import task_of
from headway.profiles.bench.measure import measure_simulated
from headway.profiles.bench.page import html_page
from headway.profiles.bench.plan import Plan, ablations, default_policies, trace_of
from headway.profiles.bench.pool import Arm, Failed, measure_all
from headway.profiles.bench.report import Report, make_header, make_report
from headway.profiles.bench.row import Measured
from headway.profiles.hardware_profiles import load_hardware
from headway.profiles.real_measure import measure_real
from headway.profiles.suites import NAMES as SUITES

from .bench_options import names, numbers, specs
from .bench_progress import MeasurementProgress
from .bench_tables import print_report
from .endings import finally_all, try_all
from .interruptible import interruptible
from .output_file import write_json, write_whole

T = TypeVar("T")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; None where nothing was."""

    suites: str | None
    pressures: str | None
    groups: int | None
    seeds: int | None
    trace: Path | None
    clip_s: float
    max_context: int | None
    engines: str | None
    hardware: str | None
    kv_tokens: int | None
    policies: str | None
    ablate: bool
    sweep_caps: bool
    quick: bool
    real: bool = False


class _Defaults(msgspec.Struct, frozen=True):
    suites: str
    pressures: str
    engines: str
    seeds: int
    policies: str | None
    hardware: str = "h100-14b"


_FULL = _Defaults(",".join(SUITES), "0.3,0.5,1,2,3", "8", 3, None)
_REAL = _Defaults("swe", "1.5,3.5", "2", 1, None, hardware="cpu-tiny")
_QUICK = _Defaults("math,swe", "0.5,2", "2", 1, "headroom,sticky_least_loaded,static")


def run_scheduling(
    choice: Choice, *, jobs: int, json_file: Path | None, html_file: Path | None, console: Console
) -> Report:
    """Measure everything that was asked for; raises ``HeadwayError`` where a policy failed."""
    if json_file is not None and json_file == html_file:
        raise InputError(f"--json and --html both name {json_file}; give two files")
    with interruptible():
        plan = make_plan(choice)
        arms = plan.arms()
    header = make_header(
        shlex.join(["headway", *sys.argv[1:]]),
        plan.hardware,
        kv_tokens=plan.kv_tokens,
        notes=_notes(plan),
        simulated=not choice.real,
    )
    measured: list[Measured] = []
    failed: list[Failed] = []
    report: list[Report] = []

    def conclude() -> None:
        complete = len(measured) + len(failed) == len(arms)
        report.append(make_report(header, measured, failed, complete=complete))
        try_all(
            lambda: print_report(console, report[0]) if measured or failed else None,
            lambda: write_json(json_file, report[0]) if json_file and measured else None,
            lambda: _write_page(html_file, report[0]) if html_file and measured else None,
        )

    with finally_all(conclude):
        _measure(arms, 1 if choice.real else jobs, measured, failed, real=choice.real)
    if failed:
        raise HeadwayError(f"{len(failed)} of {len(arms)} measurements failed; the first: {failed[0].why}")
    return report[0]


def make_plan(choice: Choice) -> Plan:
    """Fill in the defaults and read what was asked for; raises ``InputError``."""
    if choice.max_context is not None and choice.trace is None:
        raise InputError("--max-context says where recorded sessions end; give them with --trace")
    if choice.groups is not None and choice.pressures is not None:
        raise InputError("--groups and --pressures both say how much work there is; give one of them")
    default = _REAL if choice.real else _QUICK if choice.quick else _FULL
    hardware = load_hardware(_given(choice.hardware, default.hardware))
    policies = _given(choice.policies, default.policies)
    chosen = specs(policies) if policies is not None else default_policies(sweep_caps=choice.sweep_caps)
    suites = choice.suites if choice.suites is not None else ("" if choice.trace else default.suites)
    return Plan(
        hardware=hardware,
        kv_tokens=choice.kv_tokens or hardware.kv_tokens,
        suites=names(suites),
        pressures=numbers("--pressures", _given(choice.pressures, default.pressures), float),
        engines=numbers("--engines", _given(choice.engines, default.engines), int),
        seeds=list(range(choice.seeds or default.seeds)),
        policies=list(dict.fromkeys([*chosen, *(ablations() if choice.ablate else [])])),
        groups=choice.groups,
        trace=trace_of(choice.trace, clip_s=choice.clip_s, max_context=choice.max_context)
        if choice.trace
        else None,
        sweep_caps=choice.sweep_caps,
    )


def _given(value: T | None, default: T) -> T:
    return default if value is None else value


def _notes(plan: Plan) -> list[str]:
    """What has to be said of the workloads, each thing once."""
    return list(dict.fromkeys(notes for cell in plan.cells() if (notes := task_of(cell).workload.notes)))


def _measure(
    arms: list[Arm], jobs: int, measured: list[Measured], failed: list[Failed], *, real: bool
) -> None:
    """Add to ``measured`` and ``failed`` as measurements end."""
    measure = measure_real if real else measure_simulated
    with (
        interruptible(),
        MeasurementProgress(Console(stderr=True), len(arms)) as progress,
        contextlib.closing(measure_all(arms, jobs=jobs, measure=measure)) as outcomes,
    ):
        for outcome in outcomes:
            if isinstance(outcome, Measured):
                measured.append(outcome)
                progress.note(f"measured {outcome.cell.where}, {outcome.row.policy}")
            else:
                failed.append(outcome)
                progress.note(f"failed {outcome.cell.where}, {outcome.policy}")


def _write_page(path: Path, report: Report) -> None:
    write_whole(path, html_page(report).encode())
