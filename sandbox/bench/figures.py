"""Numbers as people read them."""

from .summary import Spread


def short(value: float) -> str:
    """About three digits, and no exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def milliseconds(value: float | None) -> str:
    """A time, in seconds from one on; a dash where there is none."""
    if value is None:
        return "–"
    return f"{short(value / 1000)} s" if value >= 1000 else f"{short(value)} ms"


def times(ratio: Spread | None) -> str:
    """A ratio over rounds."""
    return "–" if ratio is None else f"{short(ratio.median)}x{between(ratio)}"


def between(spread: Spread) -> str:
    """The range of a figure over rounds, if there is one."""
    return "" if spread.low == spread.high else f" [{short(spread.low)}–{short(spread.high)}]"


def mebibytes(size: float) -> str:
    """A memory size."""
    return f"{size / (1 << 20):,.0f} MiB"
