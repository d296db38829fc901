"""Where each engine's time went, as stacked bars and as a table of exact figures.

Each bar's parts sum to the whole: they end where the next begins. Knows nothing of time's course.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from ..cause import Cause
from ..profile import Causes, EngineProfile
from ..wording import duration
from ..wording import share as rounded
from .causes import MEANINGS, ORDER, spoken
from .text import html, visible

WHOLE = 100_000  # the width of a bar in the SVG's own units


def fleet_of(engines: Sequence[EngineProfile]) -> Causes:
    """The ns of all engines by cause."""
    total: Causes = {}
    for engine in engines:
        for cause, ns in engine.causes.items():
            total[cause] = total.get(cause, 0) + ns
    return total


def stacked_bar(causes: Causes, owner: str) -> str:
    """One bar, of what ``owner`` spent."""
    total = sum(causes.values())
    present = [cause for cause in ORDER if causes.get(cause)]
    ends = list(accumulate(causes[cause] for cause in present))
    edges = [0, *(round(WHOLE * end / total) for end in ends)]
    parts = "".join(
        f'<rect class="part" style="--hue:var(--{cause})" data-cause="{cause}" data-ns="{causes[cause]}" '
        f'data-tip="{html(_tip(cause, causes[cause], total, owner))}" '
        f'x="{left}" width="{right - left}" height="10"/>'
        for cause, left, right in zip(present, edges, edges[1:], strict=False)
    )
    return (
        f'<svg class="bar" viewBox="0 0 {WHOLE} 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{html(_spoken_bar(causes, total, owner))}">{parts}</svg>'
    )


def engine_bars(engines: Sequence[EngineProfile]) -> str:
    """A bar for each engine, with its name and how busy it was."""
    rows = "".join(
        f'<div class="name">{html(engine.id)}</div>{stacked_bar(engine.causes, engine.id)}'
        f'<div class="figure">{html(_busy(engine.causes))}</div>'
        for engine in engines
    )
    return f'<div class="bars" id="engine-bars">{rows}</div>'


def legend(causes: Causes) -> str:
    """The colours of the causes that occur, each with its share and what it means."""
    total = sum(causes.values())
    entries = "".join(
        f'<li class="key" data-cause="{cause}" tabindex="0" data-tip="{html(MEANINGS[cause])}">'
        f'<i style="--hue:var(--{cause})"></i>{spoken(cause)} <b>{html(share(causes[cause], total))}</b></li>'
        for cause in ORDER
        if causes.get(cause)
    )
    return f'<ul class="legend" id="legend">{entries}</ul>'


def causes_table(engines: Sequence[EngineProfile], wall_ns: int) -> str:
    """Every figure: ns by engine and cause, whose sum is the wall time."""
    total = fleet_of(engines)
    present = [cause for cause in ORDER if total.get(cause)]
    head = _row("th", ["ns", *(spoken(cause) for cause in present), "sum"])
    body = "".join(_row("td", [html(engine.id), *_figures(engine.causes, present)]) for engine in engines)
    foot = _row("td", ["all", *_figures(total, present)])
    return (
        '<table class="figures" id="causes">'
        f"<thead>{head}</thead><tbody>{body}</tbody><tfoot>{foot}</tfoot></table>"
        f"<p class=soft>Wall time: {wall_ns:,} ns. Each engine's causes sum to it exactly.</p>"
    )


def label_bars(labels: Mapping[str, Causes], what: str) -> str:
    """Bars of all engines' time by a label such as the phase of the job, where there are several."""
    rows = "".join(
        f'<div class="name">{html(label)}</div>{stacked_bar(causes, label)}'
        f'<div class="figure">{duration(sum(causes.values()))}</div>'
        for label, causes in labels.items()
        if sum(causes.values())
    )
    return f'<h3>By {what}</h3><div class="bars">{rows}</div>' if len(labels) > 1 else ""


def share(part: int, whole: int) -> str:
    """A part in per cent, of which a little is never nothing."""
    return "<0.1%" if 0 < part < whole / 2_000 else rounded(part, whole)


def _row(cell: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{text}</{cell}>' for text in cells)}</tr>"


def _figures(causes: Causes, present: Sequence[Cause]) -> list[str]:
    return [*(f"{causes.get(cause, 0):,}" for cause in present), f"{sum(causes.values()):,}"]


def _busy(causes: Causes) -> str:
    return (
        f"{share(sum(ns for cause, ns in causes.items() if Cause(cause).is_busy), sum(causes.values()))} busy"
    )


def _tip(cause: Cause, ns: int, total: int, owner: str) -> str:
    return f"{visible(owner)}: {spoken(cause)} for {duration(ns)}, {share(ns, total)}. {MEANINGS[cause]}"


def _spoken_bar(causes: Causes, total: int, owner: str) -> str:
    parts = [f"{spoken(cause)} {share(causes[cause], total)}" for cause in ORDER if causes.get(cause)]
    return f"{visible(owner)}: {', '.join(parts)}"
