"""Figures as words."""


def share(part: float, whole: float) -> str:
    """A part in per cent, with as many digits as it is worth."""
    ratio = part / whole if whole else 0.0
    return f"{ratio:.0%}" if ratio >= 0.1 or not ratio else f"{ratio:.1%}"


def number(count: int) -> str:
    """A count with its thousands."""
    return f"{count:,}"


def duration(ns: int) -> str:
    """Nanoseconds as people say them."""
    seconds = ns / 1e9
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"
