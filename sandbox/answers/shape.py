r"""Reads the structure of an answer: which values it has, whether their order counts, what it calls them.

Invariants: reading takes time linear in the text at each of at most ``_MAX_DEPTH`` levels, and what has no
structure that is known here is a ``VALUE``, left to algebra. An outer bracket decides: ``(1,2)`` is ordered,
``\{1,2\}`` and ``1 or 2`` are not, ``[1,2)`` is an interval, and a bare ``1, 2`` is whatever the other answer
is. Knows nothing of equality.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from .notation import TOKEN
from .number import number
from .unit import split_unit


class Kind(StrEnum):
    """What holds the values of an answer together; an interval that is open on both sides is a ``TUPLE``."""

    VALUE = "value"
    TUPLE = "()"
    CLOSED = "[]"
    LEFT_OPEN = "(]"
    RIGHT_OPEN = "[)"
    SET = "{}"
    LIST = "list"
    RATIO = "ratio"
    MATRIX = "matrix"
    ROW = "row"
    EQUATION = "equation"


class Shape(NamedTuple):
    """An answer's structure. The sides of an ``EQUATION`` are its ``items``."""

    kind: Kind
    text: str
    items: "tuple[Shape, ...]" = ()


_MAX_DEPTH = 5
_MAX_ITEMS = 32
_OPENING = frozenset(("(", "[", "{", r"\{", r"\langle", r"\begin", r"\lfloor", r"\lceil"))
_CLOSING = frozenset((")", "]", "}", r"\}", r"\rangle", r"\end", r"\rfloor", r"\rceil"))
_BRACKETS = {
    ("(", ")"): Kind.TUPLE,
    (r"\langle", r"\rangle"): Kind.TUPLE,
    ("[", "]"): Kind.CLOSED,
    ("(", "]"): Kind.LEFT_OPEN,
    ("[", ")"): Kind.RIGHT_OPEN,
    (r"\{", r"\}"): Kind.SET,
    ("{", "}"): Kind.SET,
}
_OR = re.compile(r"(?:,? ?\\text ?\{ ?(?:and|or) ?\} ?|,? (?:and|or) |; ?)")
_MATRIX = re.compile(r"[\[(]? ?\\begin\{([pb]?matrix|array)\}(?:\{[clr| ]*\})?(.*)\\end\{\1\} ?[\])]?")
_DOUBLE_SIGN = re.compile(r"\\(pm|mp)(?![a-zA-Z]) ?")


def read(text: str, depth: int = 0) -> Shape:
    """Return the structure of a text in the notation of ``notation.clean``."""
    text = text.strip()
    if depth < _MAX_DEPTH and text and number(text) is None:
        for form in (_list, _equation, _matrix, _bracketed, _double, _ratio):
            shape = form(text, depth + 1)
            if shape is not None:
                return shape
    return Shape(Kind.VALUE, text)


def _read_all(kind: Kind, text: str, parts: list[str], depth: int) -> Shape | None:
    if len(parts) > _MAX_ITEMS or not all(part.strip() for part in parts):
        return None
    return Shape(kind, text, tuple(read(part, depth) for part in parts))


def _list(text: str, depth: int) -> Shape | None:
    clauses = _split_words(text)
    parts = [part for clause in clauses for part in _split_commas(clause)]
    kind = Kind.LIST if len(clauses) == 1 else Kind.SET
    return _read_all(kind, text, parts, depth) if len(parts) > 1 else None


def _split_words(text: str) -> list[str]:
    """Split at ``and``, ``or`` and ``;`` outside brackets."""
    return split(_OR.sub("\x00", text), "\x00") if _OR.search(text) else [text]


def _split_commas(text: str) -> list[str]:
    return [text] if number(split_unit(text)[0]) is not None else split(text, ",")


def split(text: str, *separators: str) -> list[str]:
    """Split a text at the tokens that stand outside all brackets; brackets need not match in kind."""
    parts, depth, start = [], 0, 0
    for token in TOKEN.finditer(text):
        if token[0] in _OPENING:
            depth += 1
        elif token[0] in _CLOSING:
            depth -= 1
        elif depth == 0 and token[0] in separators:
            parts.append(text[start : token.start()])
            start = token.end()
    return [*parts, text[start:]]


def _equation(text: str, depth: int) -> Shape | None:
    exact = split(text, r"\approx")
    sides = split(text if is_name(exact[0]) else exact[0], "=", r"\equiv", r"\in", r"\approx")
    if len(sides) == 1:
        return read(exact[0], depth) if len(exact) > 1 else None
    return _read_all(Kind.EQUATION, text, sides, depth)


_NAME = re.compile(r"(?:[a-zA-Z]|\\[a-zA-Z]++|[_^(){}|',+ -]|\\[{}]|(?<=[_{])\d++(?!\.))++")
_LETTER = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]|\\(?:text|[a-z]*theta|alpha|beta|angle|overline)")


def is_name(text: str) -> bool:
    """Whether a side of an equation only says what is meant: ``x``, ``f(x)``, ``S_{10}``, a text."""
    return bool(_NAME.fullmatch(text) and _LETTER.search(text))


def has_letters(text: str) -> bool:
    """Whether a text has a variable or a word in it."""
    return bool(_LETTER.search(text))


def _matrix(text: str, depth: int) -> Shape | None:
    match = _MATRIX.fullmatch(text)
    if match is None or r"\begin" in match[2]:
        return None
    rows = [row for row in split(match[2], r"\\") if row.strip()]
    shapes = [_read_all(Kind.ROW, row, split(row, "&"), depth) for row in rows[: _MAX_ITEMS + 1]]
    if not shapes or len(shapes) > _MAX_ITEMS or None in shapes:
        return None
    return Shape(Kind.MATRIX, text, tuple(shape for shape in shapes if shape is not None))


def _bracketed(text: str, depth: int) -> Shape | None:
    tokens = list(TOKEN.finditer(text))
    kind = _BRACKETS.get((tokens[0][0], tokens[-1][0]))
    if kind is None or len(tokens) < 3 or not _encloses_all(tokens):
        return None
    inner = text[tokens[0].end() : tokens[-1].start()]
    parts = split(inner, ",")
    if len(parts) == 1 and (number(inner) is not None or tokens[0][0] in "({"):
        return read(inner, depth)
    if kind is Kind.CLOSED and len(parts) != 2:
        kind = Kind.TUPLE
    return _read_all(kind, text, parts, depth)


def _encloses_all(tokens: list[re.Match[str]]) -> bool:
    depth = 0
    for token in tokens[:-1]:
        depth += (token[0] in _OPENING) - (token[0] in _CLOSING)
        if depth == 0:
            return False
    return depth == 1


def _double(text: str, depth: int) -> Shape | None:
    r"""Read ``a \pm b`` as the set of its two values; all signs change together."""
    if not _DOUBLE_SIGN.search(text):
        return None
    upper = _DOUBLE_SIGN.sub(lambda match: "+" if match[1] == "pm" else "-", text)
    lower = _DOUBLE_SIGN.sub(lambda match: "-" if match[1] == "pm" else "+", text)
    return _read_all(Kind.SET, text, [upper.removeprefix("+"), lower.removeprefix("+")], depth)


def _ratio(text: str, depth: int) -> Shape | None:
    parts = split(text, ":")
    return _read_all(Kind.RATIO, text, parts, depth) if len(parts) > 1 else None
