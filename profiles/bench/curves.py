"""Draws the pressure curves of one comparison as inline SVG: makespan over bound, one line a policy.

Both axes are logarithmic. A bar at a point spans the seeds; hovering names it. Colours are the page's CSS.
"""

import math
from collections.abc import Sequence
from html import escape

from .comparison import Comparison, Point

_WIDTH, _HEIGHT = 760, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 14, 40
_TICKS = (1, 1.1, 1.2, 1.35, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)


class _Axis:
    """A logarithmic scale from values to places."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._span = math.log(low), math.log(high) - math.log(low)
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (math.log(value) - self._low) / self._span
        return round(self._start + share * (self._end - self._start), 1)


def pressure_curves(comparison: Comparison, styles: dict[str, int]) -> str:
    """The SVG; ``styles`` gives each policy the number of its CSS class."""
    curves = {
        policy: [
            (pressure, point)
            for pressure in comparison.pressures
            if (point := comparison.point(policy, pressure))
        ]
        for policy in comparison.policies
    }
    highest = max(point.to_bound.high for curve in curves.values() for _, point in curve)
    lowest = min(point.to_bound.low for curve in curves.values() for _, point in curve)
    x = _Axis(comparison.pressures[0] / 1.15, comparison.pressures[-1] * 1.15, _LEFT, _WIDTH - _RIGHT)
    y = _Axis(min(0.97, lowest), max(highest * 1.05, 1.4), _HEIGHT - _BOTTOM, _TOP)
    lines = [_curve(policy, curve, styles[policy], x, y) for policy, curve in reversed(curves.items())]
    label = f"makespan over bound by pressure, {comparison.title}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{_grid(comparison.pressures, highest, x, y)}{''.join(lines)}</svg>"
    )


def _grid(pressures: Sequence[float], highest: float, x: _Axis, y: _Axis) -> str:
    parts: list[str] = []
    for tick in [tick for tick in _TICKS if tick <= max(highest * 1.05, 1.4)]:
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick)}" y2="{y(tick)}"/>'
        )
        parts.append(f'<text class="tick end" x="{_LEFT - 6}" y="{y(tick) + 4}">{tick:g}x</text>')
    for pressure in pressures:
        parts.append(
            f'<text class="tick mid" x="{x(pressure)}" y="{_HEIGHT - _BOTTOM + 16}">{pressure:g}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="tick mid" x="{middle}" y="{_HEIGHT - 6}">KV pressure</text>')
    return "".join(parts)


def _curve(policy: str, curve: Sequence[tuple[float, Point]], style: int, x: _Axis, y: _Axis) -> str:
    path = " ".join(f"{x(pressure)},{y(point.to_bound.median)}" for pressure, point in curve)
    marks = "".join(_mark(policy, pressure, point, x, y) for pressure, point in curve)
    return f'<g class="curve c{style}"><polyline points="{path}"/>{marks}</g>'


def _mark(policy: str, pressure: float, point: Point, x: _Axis, y: _Axis) -> str:
    spread = point.to_bound
    title = (
        f"{policy}, pressure {pressure:g}: {spread.median:.2f}x the bound "
        f"({spread.low:.2f}–{spread.high:.2f}), {point.to_best.median:.2f}x the best, {len(point.rows)} seeds"
    )
    place = x(pressure)
    return (
        f'<line class="bar" x1="{place}" x2="{place}" y1="{y(spread.low)}" y2="{y(spread.high)}"/>'
        f'<circle cx="{place}" cy="{y(spread.median)}" r="3.5"><title>{escape(title)}</title></circle>'
    )
