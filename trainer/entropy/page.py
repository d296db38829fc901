"""The entropy analysis as one HTML page that needs nothing else: bars by place, rollouts shaded by entropy.

Invariant: whatever a model or a task said is text in the page, never markup.
"""

from collections.abc import Sequence
from html import escape

from ..transcript import visible
from ..transcript_page import page
from .analysis import EntropyReport, PlaceFigures
from .forward import Measured
from .places import Piece, Place, places

NAMES = {
    Place.AFTER_TOOL: "after a tool's answer",
    Place.TURN_START: "start of a turn",
    Place.CODE: "inside code",
    Place.CALL: "rest of a tool call",
    Place.ANSWER: "inside the answer",
    Place.ELSEWHERE: "elsewhere",
}
_HUES = {
    Place.AFTER_TOOL: 25,
    Place.TURN_START: 210,
    Place.CODE: 150,
    Place.CALL: 90,
    Place.ANSWER: 290,
    Place.ELSEWHERE: 0,
}
_WIDTH, _ROW, _LEFT, _BAR = 760, 52, 170, 480
_CSS = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1c1e21; --soft: #6b7280; --line: #d9dce1; --l: 45% }
@media (prefers-color-scheme: dark) {
  :root { --bg: #15171a; --fg: #e6e8eb; --soft: #9aa1ab; --line: #33373d; --l: 62% }
}
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; background: var(--bg); color: var(--fg);
  font: 15px/1.5 system-ui, sans-serif }
p.note { color: var(--soft) }
svg { width: 100%; height: auto; max-width: 760px; font-size: 13px }
svg text { fill: var(--fg) }
svg .soft { fill: var(--soft) }
svg .all { fill: var(--line) }
svg .top { fill: hsl(var(--h) 65% var(--l)) }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
td, th { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: right }
td:first-child, th:first-child, td:last-child, th:last-child { text-align: left }
code { background: color-mix(in srgb, var(--line) 45%, transparent); padding: 0 .25em; border-radius: 3px;
  white-space: pre }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.6 ui-monospace, monospace;
  border-left: 4px solid var(--line); padding-left: .8rem }
pre i { font-style: normal; color: var(--soft) }
pre span { background: hsl(var(--h) 80% 50% / var(--a)) }
pre .high { border-bottom: 2px solid hsl(var(--h) 80% var(--l)) }
"""


def entropy_page(title: str, report: EntropyReport, shown: Sequence[Measured], piece: Piece) -> str:
    """The whole page, with ``shown`` rollouts token by token."""
    notes = (
        f"{report.tokens:,} tokens of {report.rollouts:,} rollouts; mean entropy {report.entropy:.3f} nats; "
        f"the highest {report.top:.0%} have at least {report.threshold:.3f}. The first {report.first} tokens "
        "of a turn count as its start. These weights differ from what was recorded by "
        f"{report.logprob_mean_abs_diff:.2g} in the mean log-probability."
    )
    partial = "" if report.complete else "<p><b>Ended before every rollout was measured.</b></p>"
    rollouts = "".join(_rollout(one, report, piece) for one in shown)
    body = (
        f'<h1>{escape(title)}</h1><p class="note">{escape(notes)}</p>{partial}{_bars(report)}{_table(report)}'
        f"<h2>Token by token</h2>{_legend(report)}{rollouts}"
    )
    return page(title, _CSS, body)


def _bars(report: EntropyReport) -> str:
    """For each place its share of all tokens, and under it its share of the high ones."""
    most = max(max(one.share, one.top_share) for one in report.places)
    rows = "".join(_bar(one, number * _ROW, most) for number, one in enumerate(report.places))
    height = _ROW * len(report.places) + 20
    label = (
        f'<text class="soft" x="{_LEFT}" y="{height - 4}">above: share of all tokens; below: share of the '
        "high-entropy ones</text>"
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="share of high-entropy tokens by place">'
        f"{rows}{label}</svg>"
    )


def _bar(one: PlaceFigures, y: int, most: float) -> str:
    wide, top = round(one.share / most * _BAR, 1), round(one.top_share / most * _BAR, 1)
    return (
        f'<g style="--h:{_HUES[one.place]}"><text x="0" y="{y + 26}">{NAMES[one.place]}</text>'
        f'<rect class="all" x="{_LEFT}" y="{y + 4}" width="{wide}" height="14"/>'
        f'<text class="soft" x="{_LEFT + wide + 6}" y="{y + 16}">{one.share:.1%}</text>'
        f'<rect class="top" x="{_LEFT}" y="{y + 20}" width="{top}" height="18"/>'
        f'<text x="{_LEFT + top + 6}" y="{y + 34}">{one.top_share:.1%}, {one.lift:.2f} times</text></g>'
    )


def _table(report: EntropyReport) -> str:
    head = "".join(
        f"<th>{name}</th>" for name in ("place", "tokens", "mean entropy", "high", "lift", "most frequent")
    )
    rows = "".join(
        f"<tr><td>{NAMES[one.place]}</td><td>{one.tokens:,}</td><td>{one.entropy:.3f}</td>"
        f"<td>{one.top_tokens:,}</td><td>{one.lift:.2f}</td><td>{_frequent(one)}</td></tr>"
        for one in report.places
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _frequent(one: PlaceFigures) -> str:
    return " ".join(f"<code>{escape(repr(each.text)[1:-1])}</code> {each.count}" for each in one.frequent)


def _legend(report: EntropyReport) -> str:
    marks = " ".join(
        f'<span class="high" style="--h:{_HUES[one.place]};--a:.5">{NAMES[one.place]}</span>'
        for one in report.places
    )
    return f"<pre>{marks} <i>not the model's</i></pre>"


def _rollout(one: Measured, report: EntropyReport, piece: Piece) -> str:
    found = iter(places(one.rollout, piece, first=report.first))
    values = iter(one.entropy)
    spans = "".join(
        _span(piece(token), next(values), next(found), report.threshold)
        if model
        else f"<i>{escape(visible(piece(token)))}</i>"
        for token, model in zip(one.rollout.tokens, one.rollout.mask, strict=True)
    )
    reward = "" if one.rollout.reward is None else f", reward {one.rollout.reward:g}"
    heading = f"{one.rollout.id}, task {visible(one.rollout.task)}{reward}"
    return f"<h3>{escape(heading)}</h3><pre>\n{spans}</pre>"


def _span(text: str, entropy: float, place: Place, threshold: float) -> str:
    shade = min(entropy / (2 * threshold), 1.0) * 0.7 if threshold else 0.0
    high = ' class="high"' if entropy >= threshold > 0 else ""
    return (
        f'<span{high} style="--h:{_HUES[place]};--a:{shade:.2f}" title="{entropy:.3f}, {NAMES[place]}">'
        f"{escape(visible(text))}</span>"
    )
