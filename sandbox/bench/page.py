"""The benchmark as one HTML page that needs nothing else: bars, curves, tables, every row."""

from collections.abc import Iterable, Sequence
from html import escape

import msgspec

from .charts import latency_curves, rate_bars
from .figures import between, mebibytes, milliseconds, short, times
from .plan import EXECUTORS, OURS
from .report import Report, describe
from .row import Row
from .summary import Burst, Isolation, Latency, Rate

_HUES = (210, 25, 140)
_CSS = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1c1e21; --soft: #6b7280; --line: #d9dce1;
  --bad: #b91c1c; --l: 42% }
@media (prefers-color-scheme: dark) {
  :root { --bg: #15171a; --fg: #e6e8eb; --soft: #9aa1ab; --line: #33373d; --bad: #f87171; --l: 66% }
}
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; background: var(--bg); color: var(--fg);
  font: 15px/1.5 system-ui, sans-serif }
h2 { margin-top: 2.5rem }
h3 { margin: 1.5rem 0 .3rem; font-size: 1rem }
code { overflow-wrap: anywhere }
p.note { color: var(--soft); margin: .3rem 0 }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; margin: .6rem 0 }
td, th { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
td:first-child, th:first-child { text-align: left }
.ours { font-weight: 700 }
.scroll { overflow-x: auto }
.bad { color: var(--bad) }
svg { display: block; width: 100%; height: auto; max-width: 760px }
.grid { stroke: var(--line) }
.tick { fill: var(--soft); font-size: 12px }
.label { fill: var(--fg); font-size: 13px }
.end { text-anchor: end }
.mid { text-anchor: middle }
.bars rect { fill: var(--c) }
.bars .spread { stroke: var(--fg); stroke-width: 2; opacity: .6 }
.curve polyline { fill: none; stroke: var(--c); stroke-width: 2 }
.curve circle { fill: var(--c) }
.curve.c0 polyline { stroke-width: 3.5 }
.curve:hover polyline { stroke-width: 4 }
.legend span { display: inline-block; margin-right: 1.2em }
.legend i { display: inline-block; width: 1.2em; height: .35em; margin-right: .4em; vertical-align: middle;
  background: var(--c) }
"""


def html_page(report: Report) -> str:
    """The whole page."""
    styles = {executor: number for number, executor in enumerate(EXECUTORS)}
    snippets = dict.fromkeys(row.snippet for row in report.rows)
    notes = [report.header.machine, *describe(report.header.plan), *report.notes]
    body = [
        "<h1>Sandbox benchmark</h1>",
        f"<p><code>{escape(report.header.command)}</code></p>",
        *(f'<p class="note">{escape(note)}</p>' for note in notes),
        "" if report.complete else '<p class="bad">Ended before everything was measured.</p>',
        *(_section(report, snippet, styles) for snippet in snippets),
        _bursts(report.bursts),
        _isolation(report.isolation),
        _all_rows(report.rows),
    ]
    colours = "".join(f".c{number}{{--c:hsl({hue} 70% var(--l))}}" for number, hue in enumerate(_HUES))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>headway: sandbox benchmark</title><style>{_CSS}{colours}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _section(report: Report, snippet: str, styles: dict[str, int]) -> str:
    rates = [rate for rate in report.rates if rate.snippet == snippet]
    latencies = [latency for latency in report.latencies if latency.snippet == snippet]
    parts = [f"<h2>{escape(snippet)}</h2>"]
    if rates:
        parts += ["<h3>Calls per second</h3>", rate_bars(rates, styles), _rate_table(rates)]
    if latencies:
        legend = "".join(
            f'<span class="c{styles[latency.executor]}"><i></i>{escape(latency.executor)}, '
            f"{short(latency.rate)} arrivals/s</span>"
            for latency in latencies
        )
        parts += [
            "<h3>Share of calls answered within a time</h3>",
            latency_curves(latencies, styles),
            f'<p class="legend">{legend}</p>',
            _latency_table(latencies),
        ]
    return "".join(parts)


def _rate_table(rates: Sequence[Rate]) -> str:
    return _table(
        (
            "executor",
            "calls/s",
            "over subprocess",
            "CPU ms a call",
            "less CPU than subprocess",
            "cores used",
            "calls",
            "lost",
        ),
        (
            (
                rate.executor,
                short(rate.calls_per_s.median) + between(rate.calls_per_s),
                times(rate.ratio),
                short(rate.cpu_ms_per_call.median) + between(rate.cpu_ms_per_call),
                times(rate.cpu_ratio),
                short(rate.cores_used.median) + between(rate.cores_used),
                f"{rate.calls:,}",
                f"{rate.lost:,}",
            )
            for rate in rates
        ),
    )


def _latency_table(latencies: Sequence[Latency]) -> str:
    return _table(
        ("executor", "arrivals/s", "load", "mean", "p50", "p95", "p99", "calls", "lost"),
        (
            (
                latency.executor,
                short(latency.rate),
                f"{latency.load:.0%}",
                *map(milliseconds, (latency.mean_ms, latency.at(50), latency.at(95), latency.at(99))),
                f"{latency.calls:,}",
                f"{latency.lost:,}",
            )
            for latency in latencies
        ),
    )


def _bursts(bursts: Sequence[Burst]) -> str:
    if not bursts:
        return ""
    return "<h2>Bursts: all calls outstanding at once</h2>" + _table(
        ("snippet", "calls", "calls/s", "peak memory of the service", "a call", "most overtaken by", "lost"),
        (
            (
                burst.snippet,
                f"{burst.outstanding:,}",
                short(burst.calls_per_s.median) + between(burst.calls_per_s),
                mebibytes(burst.memory_peak_bytes),
                f"{burst.memory_bytes_per_call / 1024:.1f} KiB",
                f"{burst.overtaken_by:,}",
                f"{burst.lost:,}",
            )
            for burst in bursts
        ),
    )


def _isolation(isolation: Sequence[Isolation]) -> str:
    if not isolation:
        return ""
    return "<h2>What isolation costs</h2>" + _table(
        ("snippet", "CPU ms a call from the same zygote without isolation", "isolation adds"),
        (
            (
                one.snippet,
                short(one.bare_cpu_ms.median) + between(one.bare_cpu_ms),
                short(one.extra_cpu_ms.median) + between(one.extra_cpu_ms),
            )
            for one in isolation
        ),
    )


def _all_rows(rows: Sequence[Row]) -> str:
    columns = Row.__struct_fields__
    values = [msgspec.to_builtins(row) for row in rows]
    table = _table(columns, ([_figure(row[column]) for column in columns] for row in values))
    return f"<details><summary>All {len(rows)} rows</summary>{table}</details>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text; the line of this sandbox stands out."""
    body = ""
    for row in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        body += f'<tr class="ours">{cells}</tr>' if row[0] == OURS else f"<tr>{cells}</tr>"
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return f'<div class="scroll"><table><tr>{titles}</tr>{body}</table></div>'


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)
