"""What a replay leaves behind: its rows, medians over seeds, and how few engines are enough."""

import statistics
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from headway.engine.simulated.hardware import Hardware

from ..bench.comparison import Spread
from ..cause import Cause
from ..provenance import error_of, simulated_on, versions
from .figures import Figures
from .measure import Row
from .plan import Plan

TOLERANCE = 0.05  # of the makespan, that fewer engines may cost


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows came about. ``calibration_error`` is what simulations with the hardware were off by."""

    schema: str = "headway.replay"
    command: str
    trace: str
    format: str
    simulated: bool
    hardware: Hardware
    kv_tokens: int
    calibration_error: str
    notes: list[str]
    versions: dict[str, str]


class RecordedRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the recorded run itself came to."""

    policy: str
    engines: int
    figures: Figures


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One policy on one fleet, over all seeds. ``to_recorded`` is its makespan over the recorded run's."""

    policy: str
    engines: int
    seeds: int
    makespan_s: Spread
    tokens_per_s: Spread
    idle: dict[str, float]  # medians of the idle causes, the largest first
    idle_share: Spread
    preemptions: Spread
    hit_rate: Spread
    first_token_p99_s: Spread
    to_recorded: Spread | None = None


class Fewest(msgspec.Struct, frozen=True, kw_only=True):
    """The fewest engines with which a policy keeps the makespan within ``TOLERANCE`` of the largest fleet's;
    medians over seeds."""

    policy: str
    engines: int
    makespan_s: float
    of_engines: int
    of_makespan_s: float


class FailedArm(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that did not get through a scene."""

    scene: str
    policy: str
    why: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A replay's result. ``complete`` is false where it was ended before all was played."""

    header: Header
    recorded: RecordedRow | None
    cases: list[Case]
    fewest: list[Fewest]
    rows: list[Row]
    failed: list[FailedArm]
    complete: bool


def make_header(command: str, trace: str, plan: Plan, *, simulated: bool) -> Header:
    """The header of a replay on this machine."""
    hardware = plan.engines.hardware
    return Header(
        command=command,
        trace=trace,
        format=plan.format,
        simulated=simulated,
        hardware=hardware,
        kv_tokens=plan.engines.usual_kv_tokens,
        calibration_error=error_of(hardware),
        notes=plan.notes,
        versions=versions(),
    )


def make_report(
    header: Header,
    recorded: RecordedRow | None,
    rows: Sequence[Row],
    failed: Sequence[FailedArm],
    *,
    complete: bool,
) -> Report:
    """Put everything together, in an order that does not depend on which process was quicker."""
    rows = sorted(rows, key=lambda row: (row.engines, row.policy, row.seed))
    cases = _cases(rows, recorded)
    return Report(
        header=header,
        recorded=recorded,
        cases=cases,
        fewest=_fewest(cases),
        rows=list(rows),
        failed=list(failed),
        complete=complete,
    )


def source_of(header: Header) -> str:
    """The sentence that stands beside every table."""
    if header.simulated:
        return simulated_on(header.hardware, kv_tokens=header.kv_tokens)
    return (
        f"Played on real engines, {header.kv_tokens:,} KV tokens each; lengths as recorded, made-up tokens."
    )


def _cases(rows: Sequence[Row], recorded: RecordedRow | None) -> list[Case]:
    """By number of engines, then the fastest first."""
    seeds: defaultdict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in rows:
        seeds[row.engines, row.policy].append(row)
    cases = [_case(same, recorded) for same in seeds.values()]
    return sorted(cases, key=lambda case: (case.engines, case.makespan_s.median, case.policy))


def _case(rows: list[Row], recorded: RecordedRow | None) -> Case:
    figures = [row.figures for row in rows]
    makespans = [each.makespan_s for each in figures]
    of = recorded.figures.makespan_s if recorded is not None else 0.0
    return Case(
        policy=rows[0].policy,
        engines=rows[0].engines,
        seeds=len(rows),
        makespan_s=Spread.of(makespans),
        tokens_per_s=Spread.of([each.tokens_per_s for each in figures]),
        idle=idle_causes(figures),
        idle_share=Spread.of([each.idle_share for each in figures]),
        preemptions=Spread.of([each.preemptions for each in figures]),
        hit_rate=Spread.of([each.hit_rate for each in figures]),
        first_token_p99_s=Spread.of([each.first_token_p99_s for each in figures]),
        to_recorded=Spread.of([makespan / of for makespan in makespans]) if of else None,
    )


def idle_causes(figures: Sequence[Figures]) -> dict[str, float]:
    """The median share of each idle cause, the largest first."""
    causes = {cause for each in figures for cause in each.idle if not Cause(cause).is_busy}
    shares = {cause: statistics.median(each.idle.get(cause, 0.0) for each in figures) for cause in causes}
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def _fewest(cases: Sequence[Case]) -> list[Fewest]:
    by_policy: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_policy[case.policy].append(case)
    found = []
    for policy, fleets in by_policy.items():
        largest = fleets[-1]
        most = largest.makespan_s.median * (1 + TOLERANCE)
        enough = next(case for case in fleets if case.makespan_s.median <= most)
        if len(fleets) > 1:
            found.append(
                Fewest(
                    policy=policy,
                    engines=enough.engines,
                    makespan_s=enough.makespan_s.median,
                    of_engines=largest.engines,
                    of_makespan_s=largest.makespan_s.median,
                )
            )
    return sorted(found, key=lambda each: (each.engines, each.makespan_s))
