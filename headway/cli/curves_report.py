"""Reads run folders, compares their learning curves, and prints, draws and writes what it found."""

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from headway.trainer.curves import CurvesReport, compare_runs, curves_chart, read_run, title
from headway.trainer.curves.comparison import Difference, MetricCurves, Point
from headway.trainer.evaluation.statistics import student

from .endings import try_all
from .output_file import write_json, write_whole

_MOST_ROWS = 12
_FEW = 10  # seeds


def run_curves(
    runs: Sequence[Path],
    metrics: Sequence[str],
    *,
    baseline: str | None,
    smooth: int,
    svg_file: Path | None,
    json_file: Path | None,
    console: Console,
) -> None:
    """Compare the runs; raises ``InputError`` where they cannot be."""
    report = compare_runs([read_run(run) for run in runs], metrics, baseline=baseline, smooth=smooth)
    try_all(
        lambda: write_whole(svg_file, curves_chart(report).encode()) if svg_file else None,
        lambda: write_json(json_file, report) if json_file else None,
        lambda: print_curves(console, report),
    )


def print_curves(console: Console, report: CurvesReport) -> None:
    """Print one table a metric, and what they can show."""
    for metric in report.metrics:
        smoothed = f", mean of the last {metric.smooth} steps" if metric.smooth > 1 else ""
        console.print(
            f"[bold]{escape(title(metric.metric))}[/]{smoothed}  [dim]{escape(metric.metric)}[/]",
            highlight=False,
            soft_wrap=True,
        )
        console.print(_table(report, metric))
    for text in _reading(report):
        console.print(text, style="dim", highlight=False, soft_wrap=True, markup=False)
    for note in report.notes:
        console.print(note, style="yellow", highlight=False, soft_wrap=True, markup=False)


def _table(report: CurvesReport, metric: MetricCurves) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("step", justify="right")
    for curve in metric.curves:
        spread = " ± sd" if len(report.seeds[curve.variant]) > 1 else ""
        table.add_column(escape(curve.variant) + spread, justify="right")
    for curve in metric.curves[1:]:
        table.add_column(f"{escape(curve.variant)} − {escape(report.baseline)}", justify="right")
        table.add_column("95 % interval", justify="right")
    points = [{point.step: point for point in curve.points} for curve in metric.curves]
    differences = [{each.step: each for each in curve.differences} for curve in metric.curves[1:]]
    format = _format(metric)
    for step in _rows({step for each in points for step in each}):
        values = (
            _value(each.get(step), len(report.seeds[curve.variant]), format)
            for each, curve in zip(points, metric.curves, strict=True)
        )
        table.add_row(
            "mean" if step is None else f"{step:,}",
            *values,
            *(cell for each in differences for cell in _difference(each.get(step), format)),
            style="bold" if step is None else None,
        )
    return table


def _rows(found: set[int | None]) -> list[int | None]:
    """At most so many steps, evenly spread, the first and the last among them; then the mean, if any."""
    steps = sorted(step for step in found if step is not None)
    apart = max(1, (len(steps) - 1) / (_MOST_ROWS - 1))
    shown = sorted({steps[round(place * apart)] for place in range(min(len(steps), _MOST_ROWS))})
    return [*shown, None] if None in found else [*shown]


def _format(metric: MetricCurves) -> str:
    """One that leaves the largest value about three digits."""
    most = max(abs(point.mean) for curve in metric.curves for point in curve.points)
    if 0 < most < 0.01:
        return ".1e"
    return f",.{max(0, 2 - math.floor(math.log10(most))) if most else 0}f"


def _value(point: Point | None, seeds: int, format: str) -> str:
    if point is None:
        return "–"
    spread = "" if point.sd is None else f" ± {point.sd:{format}}"
    fewer = f" ({point.n} of {seeds})" if point.n < seeds else ""
    return f"{point.mean:{format}}{spread}{fewer}"


def _difference(difference: Difference | None, format: str) -> tuple[str | Text, str]:
    if difference is None:
        return "–", ""
    said = f"{difference.value:+{format}}"
    if difference.low is None or difference.high is None:
        return said, "one seed" if difference.n == 1 else "no spread"
    decided = not difference.low <= 0 <= difference.high
    interval = f"{difference.low:+{format}} to {difference.high:+{format}}"
    return Text(said, style="bold" if decided else ""), interval


def _reading(report: CurvesReport) -> list[str]:
    """How to read the tables, and what so few seeds can show."""
    texts = ["mean: of each seed over the steps after 0 that all finished runs have"]
    base = set(report.seeds[report.baseline])
    for variant, seeds in report.seeds.items():
        pairs, sides = len(base & set(seeds)), f"'{variant}' against '{report.baseline}'"
        if variant == report.baseline:
            continue
        if pairs < 2:
            texts.append(
                f"{sides}: {pairs or 'no'} seed in common, so that any difference may be luck; train both "
                "with two seeds at least, better five"
            )
        elif pairs < _FEW:
            reach = student(pairs - 1) / math.sqrt(pairs)
            texts.append(
                f"{sides}: {pairs} seeds in common; a difference stands out where it is more than "
                f"{reach:.1f} times its standard deviation over seeds. An interval around 0 leaves open "
                "whether there is one"
            )
    return texts
