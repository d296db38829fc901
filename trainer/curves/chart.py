"""Draws learning curves as one SVG file that needs nothing else: a panel a metric, a line a variant.

The band spans the seeds. Plain colours in classes, with those for a dark background in a media query, so that
programs that know neither variables nor media queries draw it as well.
"""

import math
from collections.abc import Sequence
from html import escape

from .comparison import CurvesReport, MetricCurves, Point, VariantCurve, title

_WIDTH, _HEIGHT = 400, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 16, 40, 44
_LEGEND = 34
_MOST_DOTS = 30
_LIGHT = ("#0b6bcb", "#d9480f", "#2b8a3e", "#9c36b5", "#8f6b00", "#495057")
_DARK = ("#4dabf7", "#ff922b", "#69db7c", "#da77f2", "#ffd43b", "#ced4da")
_CSS = """
text{font:13px system-ui,sans-serif;fill:#1c1e21}
.soft{fill:#6b7280}.end{text-anchor:end}.mid{text-anchor:middle}.title{font-weight:600}
.back{fill:#fff}.grid{stroke:#e3e6ea}
.line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}
.band{fill:currentColor;opacity:.15}.dot{fill:currentColor}
"""
_DARK_CSS = "text{fill:#e6e8eb}.soft{fill:#9aa1ab}.back{fill:#15171a}.grid{stroke:#33373d}.band{opacity:.22}"


class _Axis:
    """A linear scale from values to places."""

    def __init__(self, ticks: Sequence[float], low: float, high: float, start: float, end: float) -> None:
        self.ticks = ticks
        self._low, self._span = low, (high - low) or 1.0
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        return round(self._start + (value - self._low) / self._span * (self._end - self._start), 1)


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers in a row, the first at ``low`` or below it, the last at ``high`` or above."""
    if low == high:
        low, high = low - (abs(low) or 1.0) / 10, high + (abs(high) or 1.0) / 10
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def curves_chart(report: CurvesReport) -> str:
    """The whole file."""
    count = len(report.metrics)
    columns = 2 if count in (2, 4) else min(count, 3)
    wide, high = _WIDTH * columns, _HEIGHT * math.ceil(count / columns) + _LEGEND
    numbers = {variant: number for number, variant in enumerate(report.seeds)}
    panels = "".join(
        f'<g transform="translate({_WIDTH * (place % columns)},{_LEGEND + _HEIGHT * (place // columns)})">'
        f"{_panel(metric, numbers)}</g>"
        for place, metric in enumerate(report.metrics)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
        f'role="img" aria-label="learning curves of {escape(", ".join(report.seeds))}">'
        f'<style>{_css(len(numbers))}</style><rect class="back" width="{wide}" height="{high}" rx="6"/>'
        f"{_legend(report)}{panels}</svg>\n"
    )


def _css(variants: int) -> str:
    def colours(palette: Sequence[str]) -> str:
        return "".join(f".v{number}{{color:{palette[number % len(palette)]}}}" for number in range(variants))

    dashes = "".join(
        f".v{number} .line{{stroke-dasharray:{number // len(_LIGHT) * 4} 3}}"
        for number in range(len(_LIGHT), variants)
    )
    dark = f"@media (prefers-color-scheme:dark){{{_DARK_CSS}{colours(_DARK)}}}"
    return f"{_CSS}{colours(_LIGHT)}{dashes}{dark}"


def _legend(report: CurvesReport) -> str:
    parts, x = [], 16.0
    for number, (variant, seeds) in enumerate(report.seeds.items()):
        said = f"{variant}, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
        parts.append(
            f'<g class="v{number}"><line class="line" x1="{x:g}" x2="{x + 22:g}" y1="20" y2="20"/>'
            f'<text x="{x + 28:g}" y="24.5">{escape(said)}</text></g>'
        )
        x += 52 + 7.2 * len(said)
    if any(len(seeds) > 1 for seeds in report.seeds.values()):
        parts.append(f'<text class="soft" x="{x:g}" y="24.5">band: lowest to highest seed</text>')
    return "".join(parts)


def _panel(metric: MetricCurves, numbers: dict[str, int]) -> str:
    points = [point for curve in metric.curves for point in _steps(curve)]
    x = _x_axis([step for step, _ in points])
    marks = ticks(min(point.low for _, point in points), max(point.high for _, point in points))
    y = _Axis(marks, marks[0], marks[-1], _HEIGHT - _BOTTOM, _TOP)
    smoothed = f", mean of the last {metric.smooth}" if metric.smooth > 1 else ""
    heading = f'<text class="title" x="{_LEFT}" y="22">{escape(title(metric.metric))}</text>'
    curves = [_curve(curve, numbers[curve.variant], x, y) for curve in reversed(metric.curves)]
    return heading + _grid(x, y, f"training step{smoothed}") + "".join(curves)


def _x_axis(steps: Sequence[int]) -> _Axis:
    """Just as long as the training."""
    low, high = min(steps), max(steps)
    marks = [tick for tick in ticks(low, high) if low <= tick <= high and tick == round(tick)]
    return _Axis(marks, low, high, _LEFT, _WIDTH - _RIGHT)


def _steps(curve: VariantCurve) -> list[tuple[int, Point]]:
    return [(point.step, point) for point in curve.points if point.step is not None]


def _grid(x: _Axis, y: _Axis, label: str) -> str:
    digits = max(0, -math.floor(math.log10(y.ticks[1] - y.ticks[0]) + 1e-9))
    rows = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick)}" y2="{y(tick)}"/>'
        f'<text class="soft end" x="{_LEFT - 8}" y="{y(tick) + 4.5}">{_label(tick, digits)}</text>'
        for tick in y.ticks
    )
    columns = "".join(
        f'<text class="soft mid" x="{x(tick)}" y="{_HEIGHT - _BOTTOM + 18}">{tick:,.0f}</text>'
        for tick in x.ticks
    )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return f'{rows}{columns}<text class="soft mid" x="{middle}" y="{_HEIGHT - 8}">{label}</text>'


def _label(tick: float, digits: int) -> str:
    return f"{tick:,.{digits}f}" if digits < 4 or not tick else f"{tick:.1e}".replace("e-0", "e-")


def _curve(curve: VariantCurve, number: int, x: _Axis, y: _Axis) -> str:
    steps = _steps(curve)
    line = " ".join(f"{x(step)},{y(point.mean)}" for step, point in steps)
    above = [f"{x(step)},{y(point.high)}" for step, point in steps]
    below = [f"{x(step)},{y(point.low)}" for step, point in reversed(steps)]
    band = f'<polygon class="band" points="{" ".join(above + below)}"/>'
    dots = "".join(_dot(curve.variant, step, point, x, y) for step, point in steps)
    return (
        f'<g class="v{number}">{band if any(point.n > 1 for _, point in steps) else ""}'
        f'<polyline class="line" points="{line}"/>{dots if len(steps) <= _MOST_DOTS else ""}</g>'
    )


def _dot(variant: str, step: int, point: Point, x: _Axis, y: _Axis) -> str:
    said = f"{variant}, step {step}: {point.mean:.4g} ({point.low:.4g} to {point.high:.4g}, n = {point.n})"
    return (
        f'<circle class="dot" cx="{x(step)}" cy="{y(point.mean)}" r="3">'
        f"<title>{escape(said)}</title></circle>"
    )
