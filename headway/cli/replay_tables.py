"""Prints a replay: what came of each policy on each fleet, beside what was recorded, and where it is from."""

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headway.profiles.bench.comparison import Spread
from headway.profiles.replay.report import (
    TOLERANCE,
    Case,
    Fewest,
    RecordedRow,
    Report,
    idle_causes,
    source_of,
)
from headway.profiles.wording import share

from .bench_tables import WIDE

_CAUSES = 2  # named in a row
_LEAST_CAUSE = 0.005
_MANY_SECONDS = 100


def print_report(console: Console, report: Report) -> None:
    """Print everything; where the figures are from, and the notes, stand beside the table."""
    if not report.complete:
        console.print(
            "Ended before everything was played: medians are over unlike seeds below.", style="yellow"
        )
    console.print(_title(report), style="bold", highlight=False, soft_wrap=True)
    if report.cases:
        wide = console if console.is_terminal else Console(file=console.file, width=WIDE)
        wide.print(_table(report))
        console.print()
    for note in (source_of(report.header), *report.header.notes):
        console.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)
    for failed in report.failed:
        console.print(
            f"[bold red]failed:[/] {escape(failed.scene)}, {escape(failed.policy)}: {escape(failed.why)}",
            highlight=False,
            soft_wrap=True,
        )
    for fewest in report.fewest:
        console.print(_say_fewest(fewest, simulated=report.header.simulated), highlight=False, soft_wrap=True)


def _title(report: Report) -> str:
    several = any(case.seeds > 1 for case in report.cases)
    kind = "simulated" if report.header.simulated else "on real engines"
    medians = "; medians over seeds, with the range of the makespan" if several else ""
    return f"{escape(report.header.trace)}, {kind}{medians}"


def _table(report: Report) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, collapse_padding=True)
    table.add_column("en-\ngines", justify="right", no_wrap=True)
    table.add_column("policy", overflow="fold", min_width=9)
    compared = ["of re-\ncorded"] if report.recorded is not None else []
    for column in ("makespan", *compared, "tokens\n/s", "idle"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("mostly", no_wrap=True)
    for column in ("pre-\nempted", "cached", "first\ntoken\np99"):
        table.add_column(column, justify="right", no_wrap=True)
    if report.recorded is not None:
        table.add_row(*_recorded_row(report.recorded), style="bold")
        table.add_row()
    for case, before in zip(report.cases, [None, *report.cases], strict=False):
        if before is not None and before.engines != case.engines:
            table.add_row()
        table.add_row(*_row(case))
    return table


def _row(case: Case) -> list[str]:
    against = [f"{case.to_recorded.median:.2f}"] if case.to_recorded else []
    return [
        str(case.engines),
        escape(case.policy),
        _spread(case.makespan_s),
        *against,
        f"{case.tokens_per_s.median:,.0f}",
        _percent(case.idle_share.median),
        _causes(case.idle),
        f"{case.preemptions.median:,.0f}",
        _percent(case.hit_rate.median),
        _seconds(case.first_token_p99_s.median),
    ]


def _recorded_row(recorded: RecordedRow) -> list[str]:
    figures = recorded.figures
    return [
        str(recorded.engines),
        f"{escape(recorded.policy)}, recorded",
        _seconds(figures.makespan_s),
        "1",
        f"{figures.tokens_per_s:,.0f}",
        _percent(figures.idle_share),
        _causes(idle_causes([figures])),
        f"{figures.preemptions:,}",
        _percent(figures.hit_rate),
        _seconds(figures.first_token_p99_s),
    ]


def _spread(seconds: Spread) -> str:
    if seconds.low == seconds.high:
        return _seconds(seconds.median)
    return f"{_seconds(seconds.median)}\n\\[{_digits(seconds.low)}–{_digits(seconds.high)}]"


def _causes(idle: Mapping[str, float]) -> str:
    largest = [(cause, part) for cause, part in idle.items() if part >= _LEAST_CAUSE][:_CAUSES]
    return "\n".join(f"{cause} {part:.0%}" for cause, part in largest)


def _seconds(seconds: float) -> str:
    return f"{_digits(seconds)} s"


def _digits(seconds: float) -> str:
    return f"{seconds:.3g}" if seconds < _MANY_SECONDS else f"{seconds:,.0f}"


def _percent(part: float) -> str:
    return share(part, 1.0)


def _say_fewest(fewest: Fewest, *, simulated: bool) -> str:
    by = f"{_seconds(fewest.makespan_s)}, and {_seconds(fewest.of_makespan_s)} on {fewest.of_engines}"
    engines = f"{fewest.engines} engine{'s are' if fewest.engines > 1 else ' is'}"
    found = (
        f"{engines} the fewest that keep the makespan within {TOLERANCE:.0%} of the largest fleet's ({by})"
    )
    if fewest.engines == fewest.of_engines:
        found = f"every smaller fleet than {fewest.engines} costs more than {TOLERANCE:.0%} of the makespan"
    return f"{escape(fewest.policy)}: {found}{', simulated' if simulated else ''}"
