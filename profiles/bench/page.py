"""The benchmark as one HTML page that needs nothing else: curves, tables, verdicts, every row."""

from collections.abc import Sequence
from html import escape

from .claims import DEFAULT
from .comparison import Comparison, Point
from .curves import pressure_curves
from .report import Report, provenance
from .row import Row

_HUES = (210, 25, 140, 280, 340, 60, 180, 100, 310, 240, 0, 160, 45, 200, 80, 260)
_COLUMNS = (
    "suite",
    "engines",
    "pressure",
    "seed",
    "policy",
    "makespan_s",
    "bound_s",
    "bound_by",
    "tokens_per_s",
    "hit_rate",
    "prefill_recomputed",
    "preemptions",
    "parked",
    "first_token_p99_s",
    "trajectory_p99_s",
    "group_p95_s",
    "decision_us",
)
_CSS = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1c1e21; --soft: #6b7280; --line: #d9dce1;
  --good: #15803d; --bad: #b91c1c; --l: 42% }
@media (prefers-color-scheme: dark) {
  :root { --bg: #15171a; --fg: #e6e8eb; --soft: #9aa1ab; --line: #33373d; --good: #4ade80; --bad: #f87171;
    --l: 66% }
}
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; background: var(--bg); color: var(--fg);
  font: 15px/1.5 system-ui, sans-serif }
h2 { margin-top: 2.5rem }
code { overflow-wrap: anywhere }
p.note { color: var(--soft) }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
td, th { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
td:first-child, th:first-child, td.text { text-align: left; white-space: normal }
.ours { font-weight: 700 }
.scroll { overflow-x: auto }
.good { color: var(--good) }
.bad { color: var(--bad) }
svg { width: 100%; height: auto; max-width: 760px }
.grid { stroke: var(--line) }
.tick { fill: var(--soft); font-size: 12px }
.end { text-anchor: end }
.mid { text-anchor: middle }
.curve polyline { fill: none; stroke: var(--c); stroke-width: 1.5 }
.curve circle { fill: var(--c) }
.curve .bar { stroke: var(--c); stroke-width: 2; opacity: .5 }
.curve.c0 polyline { stroke-width: 3.5 }
.curve:hover polyline { stroke-width: 4 }
.legend span { display: inline-block; margin-right: 1.2em }
.legend i { display: inline-block; width: 1.2em; height: .35em; margin-right: .4em; vertical-align: middle;
  background: var(--c) }
"""


def html_page(report: Report) -> str:
    """The whole page."""
    comparisons = report.comparisons()
    styles = _styles(comparisons)
    note = f'<p class="note">{escape(provenance(report.header))}</p>'
    notes = "".join(f'<p class="note">{escape(text)}</p>' for text in report.header.notes)
    body = [
        "<h1>Scheduling benchmark</h1>",
        f"<p><code>{escape(report.header.command)}</code></p>{note}{notes}",
        "" if report.complete else '<p class="bad">Ended before everything was measured.</p>',
        _verdicts(report),
        *(_section(comparison, styles) + note + notes for comparison in comparisons),
        _failures(report),
        _all_rows(report.rows),
    ]
    colours = "".join(
        f".c{number}{{--c:hsl({_HUES[number % len(_HUES)]} 70% var(--l))}}"
        f".c{number} polyline{{stroke-dasharray:{_dash(number)}}}"
        for number in styles.values()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>headway: scheduling benchmark</title><style>{_CSS}{colours}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _styles(comparisons: Sequence[Comparison]) -> dict[str, int]:
    """A number for each policy, the same in all figures; the default policy's is 0."""
    policies = dict.fromkeys([DEFAULT, *(policy for c in comparisons for policy in c.policies)])
    return {policy: number for number, policy in enumerate(policies)}


def _dash(number: int) -> str:
    return ("none", "6 3", "2 3")[number // len(_HUES) % 3]


def _verdicts(report: Report) -> str:
    rows = "".join(
        f'<tr><td class="text">{escape(v.claim)}</td>'
        f'<td class="{"good" if v.holds else "bad"}">{"holds" if v.holds else "does not hold"}</td>'
        f'<td class="text">{escape(v.found)}</td></tr>'
        for v in report.verdicts
    )
    return f"<h2>Claims</h2><table>{rows}</table>" if rows else ""


def _section(comparison: Comparison, styles: dict[str, int]) -> str:
    legend = "".join(
        f'<span class="c{styles[policy]}"><i></i>{escape(policy)}</span>' for policy in comparison.policies
    )
    pressures = "".join(f"<th>{pressure:g}</th>" for pressure in comparison.pressures)
    head = f"<tr><th>makespan over best, over bound</th>{pressures}</tr>"
    rows = "".join(_policy_row(comparison, policy) for policy in comparison.policies)
    return (
        f"<h2>{escape(comparison.title)}</h2>"
        f'{pressure_curves(comparison, styles)}<p class="legend">{legend}</p>'
        f'<div class="scroll"><table>{head}{rows}</table></div>'
    )


def _policy_row(comparison: Comparison, policy: str) -> str:
    cells = "".join(_cell(comparison.point(policy, pressure)) for pressure in comparison.pressures)
    ours = ' class="ours"' if policy == DEFAULT else ""
    return f"<tr{ours}><td>{escape(policy)}</td>{cells}</tr>"


def _cell(point: Point | None) -> str:
    if point is None:
        return "<td>–</td>"
    title = f"over bound {point.to_bound.low:.3f}–{point.to_bound.high:.3f}, {len(point.rows)} seeds"
    return f'<td title="{escape(title)}">{point.to_best.median:.2f} · {point.to_bound.median:.2f}</td>'


def _failures(report: Report) -> str:
    items = "".join(f"<li>{escape(f.cell)}, {escape(f.policy)}: {escape(f.why)}</li>" for f in report.failed)
    return f"<h2>Failed</h2><ul>{items}</ul>" if items else ""


def _all_rows(rows: Sequence[Row]) -> str:
    head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    body = "".join(
        f"<tr>{''.join(f'<td>{_figure(getattr(row, column))}</td>' for column in _COLUMNS)}</tr>"
        for row in rows
    )
    return (
        f"<details><summary>All {len(rows)} rows</summary>"
        f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div></details>'
    )


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))
