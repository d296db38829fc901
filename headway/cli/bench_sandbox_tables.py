"""Prints the sandbox benchmark: rates, latencies, bursts and what isolation costs.

Knows nothing of how the figures came about.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from headway.sandbox.bench.figures import between, mebibytes, milliseconds, short, times
from headway.sandbox.bench.plan import OURS
from headway.sandbox.bench.report import Report, describe
from headway.sandbox.bench.summary import Burst, Isolation, Latency, Rate, Spread

T = TypeVar("T", Rate, Latency)

_WIDE = 200  # where output goes to a file, lines may be as long as they have to
_BAR = 20
_SCALE = 24
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_STYLES = {OURS: "bold cyan"}


def print_report(console: Console, report: Report) -> None:
    """Print everything that was measured."""
    if not report.complete:
        console.print("Ended before everything was measured.", style="yellow")
    tables = [
        _rates(report.rates),
        _latencies(report.latencies),
        _bursts(report.bursts),
        _isolation(report.isolation),
    ]
    for table in tables:
        if table.row_count:
            console.print(table, width=None if console.is_terminal else _WIDE)
    for note in (*report.notes, *describe(report.header.plan), report.header.machine):
        console.print(note, style="dim", markup=False, highlight=False, soft_wrap=not console.is_terminal)


def bar(value: float, most: float, width: int = _BAR) -> str:
    """A horizontal bar, in eighths of a character."""
    eighths = round(8 * width * value / most)
    full, rest = divmod(eighths, 8)
    return ("█" * full + _EIGHTHS[rest].strip()).ljust(width)


def strip(latency: Latency, low: float, high: float, width: int = _SCALE) -> str:
    """p50 to p95 to p99 on a logarithmic scale from ``low`` to ``high``."""
    cells = ["·"] * width
    places = [
        round((width - 1) * math.log(ms / low) / math.log(high / low))
        for percent in (50, 95, 99)
        if (ms := latency.at(percent))
    ]
    for earlier, later in itertools.pairwise(places):
        cells[earlier:later] = "━" * (later - earlier)
    for place, mark in list(zip(places, "●┿┤", strict=False))[::-1]:
        cells[place] = mark
    return "".join(cells)


def _rates(rates: Sequence[Rate]) -> Table:
    table = _table(
        "Calls per second",
        ["snippet", "executor", "", "calls/s", "over subprocess", "CPU ms/call", "less CPU", "cores", "lost"],
    )
    for snippet, same in _by_snippet(rates):
        most = max(rate.calls_per_s.median for rate in same)
        for rate in same:
            _add(
                table,
                rate.executor,
                snippet if rate is same[0] else "",
                rate.executor,
                bar(rate.calls_per_s.median, most),
                _spread(rate.calls_per_s),
                escape(times(rate.ratio)),
                _spread(rate.cpu_ms_per_call),
                escape(times(rate.cpu_ratio)),
                short(rate.cores_used.median),
                _lost(rate.lost, rate.calls),
            )
        table.add_section()
    return table


def _latencies(latencies: Sequence[Latency]) -> Table:
    table = _table(
        "Latency at Poisson arrivals  (●━┿━┤ p50, p95, p99; logarithmic)",
        ["snippet", "executor", "", "arrivals/s", "p50", "p95", "p99", "load", "calls", "lost"],
    )
    for snippet, same in _by_snippet(latencies):
        values = [ms for latency in same for percent, ms in latency.curve if 50 <= percent < 100] or [1.0]
        low, high = min(values), max(max(values), 1.01 * min(values))
        for latency in same:
            _add(
                table,
                latency.executor,
                snippet if latency is same[0] else "",
                latency.executor,
                strip(latency, low, high),
                short(latency.rate),
                *map(milliseconds, map(latency.at, (50, 95, 99))),
                f"{latency.load:.0%}",
                f"{latency.calls:,}",
                _lost(latency.lost, latency.calls),
            )
        table.add_section()
    return table


def _bursts(bursts: Sequence[Burst]) -> Table:
    table = _table(
        f"Bursts of {OURS}: all calls outstanding at once",
        ["snippet", "calls", "calls/s", "peak memory", "memory/call", "most overtaken by", "lost"],
    )
    for burst in bursts:
        table.add_row(
            burst.snippet,
            f"{burst.outstanding:,}",
            _spread(burst.calls_per_s),
            mebibytes(burst.memory_peak_bytes),
            f"{burst.memory_bytes_per_call / 1024:.1f} KiB",
            f"{burst.overtaken_by:,}",
            _lost(burst.lost, burst.outstanding),
        )
    return table


def _isolation(isolation: Sequence[Isolation]) -> Table:
    table = _table(
        "What isolation costs: CPU ms/call",
        ["snippet", "bare fork of the same zygote", "isolation adds"],
    )
    for one in isolation:
        table.add_row(one.snippet, _spread(one.bare_cpu_ms), _spread(one.extra_cpu_ms))
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in ("snippet", "executor", "") else "right")
    return table


def _add(table: Table, executor: str, *cells: str | Text) -> None:
    table.add_row(*cells, style=_STYLES.get(executor))


def _by_snippet(items: Sequence[T]) -> Iterator[tuple[str, list[T]]]:
    return ((snippet, list(same)) for snippet, same in itertools.groupby(items, lambda item: item.snippet))


def _spread(spread: Spread) -> str:
    return escape(short(spread.median) + between(spread))


def _lost(lost: int, calls: int) -> Text:
    return Text(f"{lost:,} of {calls:,}", style="bold red") if lost else Text("0")
