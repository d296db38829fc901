"""Prints the benchmark: a table a suite, then what the rows say of the claims."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headway.profiles.bench.claims import DEFAULT
from headway.profiles.bench.comparison import Comparison, Point
from headway.profiles.bench.report import Report, provenance

WIDE = 200  # where output goes to a file, lines may be as long as they have to


def print_report(console: Console, report: Report) -> None:
    """Print everything; the provenance and the notes stand beside each table."""
    if not report.complete:
        console.print(
            "Ended before everything was measured: policies are compared on unlike seeds below.",
            style="yellow",
        )
    for comparison in report.comparisons():
        console.print(
            f"[bold]{escape(comparison.title)}[/]: makespan over best · over bound \\[range over seeds]",
            highlight=False,
        )
        console.print(_table(comparison), width=None if console.is_terminal else WIDE)
        for note in (provenance(report.header), *report.header.notes):
            console.print(note, style="dim", markup=False, highlight=False)
        console.print()
    for failed in report.failed:
        console.print(
            f"[bold red]failed:[/] {escape(failed.cell)}, {escape(failed.policy)}: {escape(failed.why)}",
            highlight=False,
        )
    for verdict in report.verdicts:
        mark = "[green]holds[/]        " if verdict.holds else "[red]does not hold[/]"
        console.print(f"{mark}  {escape(verdict.claim)}: {escape(verdict.found)}", highlight=False)


def _table(comparison: Comparison) -> Table:
    table = Table()
    table.add_column("policy \\ pressure", overflow="fold")
    for pressure in comparison.pressures:
        table.add_column(f"{pressure:g}", justify="right", overflow="fold")
    for policy in comparison.policies:
        cells = [_cell(comparison.point(policy, pressure)) for pressure in comparison.pressures]
        table.add_row(escape(policy), *cells, style="bold" if policy == DEFAULT else None)
    return table


def _cell(point: Point | None) -> str:
    if point is None:
        return "–"
    bound = point.to_bound
    spread = f" \\[{bound.low:.2f}–{bound.high:.2f}]" if len(point.rows) > 1 else ""
    return f"{point.to_best.median:.2f} · {bound.median:.2f}{spread}"
