r"""Splits a quantity into its value and its unit, and knows how the common units convert.

The rule for answers is: a unit counts only where both name one, since the question usually did; then they
must measure the same thing, and the values are converted. A unit that is not in the table (``apples``) is its
own dimension. A currency, a degree, a percent sign, a base (``101_2``) and a modulus (``\pmod 7``) are units,
too. Invariant: no list of values passes as a unit: a unit has no digits but its exponents, and none of the
words that join alternatives. Knows nothing of how values are compared.
"""

import re
from fractions import Fraction
from typing import NamedTuple


class Unit(NamedTuple):
    """What a value is multiplied by: ``powers`` is the dimension, sorted; ``factor`` leads to its base unit.

    ``bare`` says that it is one letter that might as well be a variable; ``modulus`` is that of a residue.
    """

    powers: tuple[tuple[str, int], ...]
    factor: Fraction = Fraction(1)
    bare: bool = False
    modulus: int = 0


PERCENT = (("%", 1),)

_UNITS = {
    "length": "m meter metre 1 km kilometer kilometre 1000 dm decimeter 1/10 cm centimeter centimetre 1/100 "
    "mm millimeter millimetre 1/1000 in inch inche 127/5000 ft foot feet 381/1250 yd yard 1143/1250 "
    "mi mile 201168/125",
    "length^3": "L l liter litre 1/1000 mL ml milliliter millilitre cc 1/1000000",
    "time": "s sec second 1 ms millisecond 1/1000 min minute 60 h hr hour 3600 day 86400 week 604800",
    "mass": "g gm gram 1 kg kilogram 1000 mg milligram 1/1000 ton tonne 1000000 lb pound 45359237/100000 "
    "oz ounce 45359237/1600000",
    "money": r"\$ $ dollar usd 1 cent ¢ 1/100",
    "euro": "€ euro 1",
    "sterling": "£ 1",
    "angle": "° degree deg 1",
    "celsius": "°C 1",
    "fahrenheit": "°F 1",
    "%": r"\% % percent 1",
    "": "unit 1",
}


def _table() -> dict[str, tuple[tuple[str, int], Fraction]]:
    table: dict[str, tuple[tuple[str, int], Fraction]] = {}
    for key, line in _UNITS.items():
        dimension, _, exponent = key.partition("^")
        names: list[str] = []
        for word in line.split():
            if word[0].isdigit():
                table |= dict.fromkeys(names, ((dimension, int(exponent or 1)), Fraction(word)))
                names = []
            else:
                names.append(word)
    return table


_TABLE = _table()
_DIMENSIONS = frozenset(dimension for (dimension, _), _ in _TABLE.values())
_JOINING = frozenset("and or not but either neither nor if maybe to no is are than".split())  # noqa: SIM905
_POWERS_BEFORE = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_MAX_WORDS = 4
_MAX_LENGTH = 60
_SURELY_A_WORD = 4
_EXPONENT = r"(?:\^ ?(?:\{ ?-?\d ?\}|-?\d))?"
_TRAILING_TEXT = re.compile(rf"\\text ?\{{([^{{}}]*)\}} ?({_EXPONENT})$")
_ANGLE_FUNCTION = re.compile(r"\\(?:sin|cos|tan|sec|csc|cot)(?![a-zA-Z])")
_TRAILING_SIGN = re.compile(r"(°[CF]?|\\%|\\\$|[€£¢])$")
_LEADING_SIGN = re.compile(r"([+-]? ?)(\\\$|[€£]) ?(?=[\d.\\])")
_TRAILING_WORDS = re.compile(rf"(?<=[\d)}}.]) ?([a-zA-Z]+(?:[ /^*-]+[a-zA-Z]+)* ?{_EXPONENT})$")
_PLAIN_HEAD = re.compile(r"[+-]?[\d ,./]*\d(?: ?\\times 10 ?\^ ?\{?-?\d+\}?)?|[+-]?\\frac\{\d+\}\{\d+\}")
_BASE = re.compile(r"(?=[A-Z]*\d)([0-9A-Z]++)_ ?(?:\{ ?(?:\\text ?\{ ?)?(\w+)\}?[ }]*|(\d))")
_MODULUS = re.compile(r" ?(?:\\pmod|\(? ?\\(?:b?mod|text ?\{ ?mod ?\})|\( ?mod) ?\{?(\d+)\}? ?\)?$")
_SPEEDS = {"mph": "mile/hour", "kph": "km/hour", "kmph": "km/hour"}
_SPEED = re.compile(rf"\b(?:{'|'.join(_SPEEDS)})\b")
_TOKEN = re.compile(
    r"(?P<name>[^\W\d_]+|°[CF]?|\\[%$]|[%€£¢$])"
    r"|\^? ?\{? ?(?P<power>-?\d) ?\}?|(?P<per>/)|[ ·*.-]|(?P<other>.)"
)


def split_unit(text: str) -> tuple[str, Unit | None]:
    """Return the value's text and its unit, or the text as it is and None."""
    for form in (_base, _modulus, _trailing, _leading):
        value, unit = form(text)
        if unit is not None and value:
            return value, unit if unit.powers else None
    return text, None


def _base(text: str) -> tuple[str, Unit | None]:
    match = _BASE.fullmatch(text)
    return (match[1], Unit(((f"base {match[2] or match[3]}", 1),))) if match else (text, None)


def _modulus(text: str) -> tuple[str, Unit | None]:
    match = _MODULUS.search(text, max(0, len(text) - _MAX_LENGTH))
    if match is None:
        return text, None
    return text[: match.start()].rstrip(), Unit(((f"mod {match[1]}", 1),), modulus=int(match[1]))


def _leading(text: str) -> tuple[str, Unit | None]:
    match = _LEADING_SIGN.match(text)
    return (match[1].strip() + text[match.end() :], parse_unit(match[2])) if match else (text, None)


def _trailing(text: str) -> tuple[str, Unit | None]:
    sign = _TRAILING_SIGN.search(text)
    if sign is not None and not (sign[1] == "°" and _ANGLE_FUNCTION.search(text)):
        return text[: sign.start()].rstrip(), parse_unit(sign[1])
    marked = _TRAILING_TEXT.search(text, max(0, len(text) - _MAX_LENGTH))
    if marked is not None:
        return text[: marked.start()].rstrip(), parse_unit(marked[1] + marked[2])
    words = _TRAILING_WORDS.search(text, max(0, len(text) - _MAX_LENGTH))
    if words is None or not _PLAIN_HEAD.fullmatch(text[: words.start()].rstrip()):
        return text, None
    unit = parse_unit(words[1])
    if unit is None or not (_is_known(unit) or (len(words[1]) >= _SURELY_A_WORD and words[0][0] == " ")):
        return text, None
    return text[: words.start()].rstrip(), unit._replace(bare=len(words[1]) == 1)


def _is_known(unit: Unit) -> bool:
    return all(dimension in _DIMENSIONS for dimension, _ in unit.powers)


def parse_unit(text: str) -> Unit | None:
    """Return the unit that a text names; None if the text is no unit. ``unit`` itself has no dimension."""
    factors: list[tuple[str, int]] = []
    sign, pending = 1, 1
    for token in _TOKEN.finditer(_SPEED.sub(lambda speed: _SPEEDS[speed[0]], text.strip(" ."))):
        word = token["name"].lower() if token["name"] else ""
        if token["other"] or word in _JOINING:
            return None
        if token["per"] or word == "per":
            sign = -1
        elif word in _POWERS_BEFORE:
            pending = _POWERS_BEFORE[word]
        elif word:
            factors.append((token["name"], sign * pending))
            pending = 1
        elif token["power"] and factors:
            name, power = factors[-1]
            factors[-1] = name, power * int(token["power"])
    return _product(factors) if 0 < len(factors) <= _MAX_WORDS else None


def _product(factors: list[tuple[str, int]]) -> Unit:
    powers: dict[str, int] = {}
    size = Fraction(1)
    for name, power in factors:
        (dimension, exponent), one = _look_up(name)
        powers[dimension] = powers.get(dimension, 0) + power * exponent
        size *= one**power
    powers.pop("", None)
    return Unit(tuple(sorted(powers.items())), size)


def _look_up(name: str) -> tuple[tuple[str, int], Fraction]:
    singular = name.removesuffix("s") if len(name) > 2 else name
    for spelling in (name, singular, name.lower(), singular.lower()):
        if spelling in _TABLE:
            return _TABLE[spelling]
    return (singular.lower(), 1), Fraction(1)
