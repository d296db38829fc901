r"""Reads a plain number exactly, as a fraction: what needs no algebra is never rounded.

Integers, decimals, thousands separators, ``1/2``, ``\frac{1}{2}``, mixed numbers, scientific notation,
repeating decimals. Invariant: a text that is anything else gives None, and so does a number too large to be
worth writing out. Knows nothing of units or percentages.
"""

import re
from fractions import Fraction

_MAX_DIGITS = 2000
_MAX_EXPONENT = 400
_INTEGER = r"\d+|\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+"
_DECIMAL = re.compile(rf"({_INTEGER})(?:\.(\d*))?|\.(\d+)", re.ASCII)
_REPEATING = re.compile(r"(\d*)\.(\d*)(?:\\overline ?\{(\d+)\}|\\dot ?\{?(\d)\}?|\((\d+)\))", re.ASCII)
_POWER = re.compile(r"10 ?\^ ?(?:\{ ?([+-]?\d+) ?\}|\(([+-]?\d+)\)|([+-]?\d+))", re.ASCII)
_TIMES = re.compile(r" ?(?:\\times|\\cdot|\*|x) ?(?=10 ?\^)")
_EXPONENT = re.compile(r"[eE]([+-]?\d+)", re.ASCII)
_LATEX_FRACTION = re.compile(r"\\frac ?\{([^{}]*)\} ?\{([^{}]*)\}")


def number(text: str) -> Fraction | None:
    """Return the value of a text that is one plain number, else None."""
    text = text.strip()
    if not text or len(text) > _MAX_DIGITS:
        return None
    if text[0] in "+-":
        value = _unsigned(text[1:].lstrip())
        return -value if value is not None and text[0] == "-" else value
    return _unsigned(text)


def _unsigned(text: str) -> Fraction | None:
    for form in (_decimal, _fraction, _scientific, _mixed, _repeating):
        value = form(text)
        if value is not None:
            return value
    return None


def _decimal(text: str) -> Fraction | None:
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    whole = (match[1] or "0").replace(",", "").replace(" ", "")
    digits = match[2] or match[3] or ""
    return Fraction(int(whole + digits), 10 ** len(digits))


def _fraction(text: str) -> Fraction | None:
    match = _LATEX_FRACTION.fullmatch(text)
    top, slash, bottom = (match[1], "/", match[2]) if match else text.partition("/")
    if not slash:
        return None
    parts = _signed_decimal(top), _signed_decimal(bottom)
    return parts[0] / parts[1] if parts[0] is not None and parts[1] else None


def _signed_decimal(text: str) -> Fraction | None:
    text = text.strip()
    value = _decimal(text.lstrip("+-"))
    signs = len(text) - len(text.lstrip("+-"))
    if value is None or signs > 1:
        return None
    return -value if text[0] == "-" else value


def _scientific(text: str) -> Fraction | None:
    times = _TIMES.search(text)
    short = _EXPONENT.search(text)
    if times is not None:
        mantissa, power = text[: times.start()], _POWER.fullmatch(text, times.end())
    elif short is not None:
        mantissa, power = text[: short.start()], _EXPONENT.fullmatch(text, short.start())
    else:
        mantissa, power = "1", _POWER.fullmatch(text)
    value = _signed_decimal(mantissa)
    if power is None or value is None:
        return None
    exponent = power[power.lastindex or 0]
    if len(exponent) > 5 or abs(int(exponent)) > _MAX_EXPONENT:
        return None
    return value * Fraction(10) ** int(exponent)


def _mixed(text: str) -> Fraction | None:
    """Read ``2\\frac{1}{2}`` and ``2 1/2``; the second needs its space."""
    whole, mark, rest = text.partition(r"\frac") if r"\frac" in text else text.partition(" ")
    part = _fraction(mark.strip() + rest)
    if not whole.strip().isascii() or not whole.strip().isdigit() or part is None or not 0 < part < 1:
        return None
    return int(whole) + part


def _repeating(text: str) -> Fraction | None:
    match = _REPEATING.fullmatch(text)
    if match is None:
        return None
    fixed, cycle = match[2], match[3] or match[4] or match[5]
    start = Fraction(int((match[1] or "0") + fixed), 10 ** len(fixed))
    return start + Fraction(int(cycle), (10 ** len(cycle) - 1) * 10 ** len(fixed))
