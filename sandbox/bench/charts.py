"""Draws the page's charts as inline SVG: rates as bars, latencies as curves. Colours are the page's CSS."""

import math
from collections.abc import Callable, Sequence
from html import escape

from .figures import milliseconds, short
from .summary import Latency, Rate

_WIDTH = 760
_LEFT, _RIGHT = 110, 190
_BAR, _GAP = 22, 8
_HEIGHT, _TOP, _BOTTOM = 300, 14, 44
_CURVE_LEFT, _CURVE_RIGHT = 56, 16


def rate_bars(rates: Sequence[Rate], styles: dict[str, int]) -> str:
    """Calls per second of each executor on one snippet; the line at a bar's end spans the rounds."""
    most = max(rate.calls_per_s.high for rate in rates)
    span = _WIDTH - _LEFT - _RIGHT
    parts: list[str] = []
    for place, rate in enumerate(rates):
        y = place * (_BAR + _GAP) + _GAP
        middle = y + _BAR / 2
        low, end, high = (
            round(_LEFT + span * value / most, 1)
            for value in (rate.calls_per_s.low, rate.calls_per_s.median, rate.calls_per_s.high)
        )
        parts.append(
            f'<g class="bars c{styles[rate.executor]}">'
            f'<text class="label end" x="{_LEFT - 8}" y="{middle + 4}">{escape(rate.executor)}</text>'
            f'<rect x="{_LEFT}" y="{y}" width="{max(end - _LEFT, 1)}" height="{_BAR}" rx="3"/>'
            f'<line class="spread" x1="{low}" x2="{high}" y1="{middle}" y2="{middle}"/>'
            f'<text class="label" x="{high + 8}" y="{middle + 4}">{escape(_rate_label(rate))}</text></g>'
        )
    height = len(rates) * (_BAR + _GAP) + _GAP
    label = f"calls per second, {rates[0].snippet}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _rate_label(rate: Rate) -> str:
    times = f" · {short(rate.ratio.median)}x subprocess" if rate.ratio else ""
    return f"{short(rate.calls_per_s.median)}/s{times}"


def latency_curves(latencies: Sequence[Latency], styles: dict[str, int]) -> str:
    """The share of calls that were answered within a time, on a logarithmic scale, of one snippet."""
    values = [ms for latency in latencies for _, ms in latency.curve]
    low, high = math.log(max(min(values), 1e-3) / 1.2), math.log(max(values) * 1.2)

    def x(ms: float) -> float:
        share = (math.log(max(ms, 1e-3)) - low) / (high - low)
        return round(_CURVE_LEFT + share * (_WIDTH - _CURVE_LEFT - _CURVE_RIGHT), 1)

    def y(percent: float) -> float:
        return round(_HEIGHT - _BOTTOM - percent / 100 * (_HEIGHT - _BOTTOM - _TOP), 1)

    grid = [_share_line(percent, y(percent)) for percent in (0, 25, 50, 75, 95, 100)]
    grid += [_time_mark(ms, x(ms)) for ms in _ticks(math.exp(low), math.exp(high))]
    curves = []
    for latency in reversed(latencies):
        path = " ".join(f"{x(ms)},{y(percent)}" for percent, ms in latency.curve)
        marks = "".join(_mark(latency, percent, x, y) for percent in (50, 95, 99) if latency.at(percent))
        curves.append(f'<g class="curve c{styles[latency.executor]}"><polyline points="{path}"/>{marks}</g>')
    label = f"share of calls answered within a time, {latencies[0].snippet}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{''.join(grid)}{''.join(curves)}</svg>"
    )


def _share_line(percent: float, y: float) -> str:
    return (
        f'<line class="grid" x1="{_CURVE_LEFT}" x2="{_WIDTH - _CURVE_RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text class="tick end" x="{_CURVE_LEFT - 6}" y="{y + 4}">{percent:g} %</text>'
    )


def _time_mark(ms: float, x: float) -> str:
    bottom = _HEIGHT - _BOTTOM
    label = f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"
    return (
        f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{bottom}"/>'
        f'<text class="tick mid" x="{x}" y="{bottom + 16}">{label}</text>'
    )


def _ticks(low: float, high: float) -> list[float]:
    steps = (1, 2, 5) if high / low < 300 else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]


def _mark(latency: Latency, percent: float, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    ms = latency.at(percent) or 0.0
    title = f"{latency.executor}, {short(latency.rate)} arrivals/s: {percent:g} % within {milliseconds(ms)}"
    return f'<circle cx="{x(ms)}" cy="{y(percent)}" r="3.5"><title>{escape(title)}</title></circle>'
