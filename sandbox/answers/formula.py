"""What has to hold for two answers to be equal: a value already decided, or a formula over comparisons.

A formula is plain data, so that it can be sent to where the comparisons are made: a bool, or a list that
starts with ``all``, ``any`` or ``equal``. Invariant: what is decided is folded away at once, so a formula is
a bool if and only if nothing is left to compare. Knows nothing of mathematics.
"""

from collections.abc import Iterable
from typing import Any

Formula = bool | list[Any]


def equal(answer: str, truth: str) -> Formula:
    """Leave to algebra whether two texts in LaTeX are equal."""
    return answer == truth or ["equal", answer, truth]


def all_of(parts: Iterable[Formula]) -> Formula:
    """Every part holds."""
    return _fold("all", parts, decisive=False)


def any_of(parts: Iterable[Formula]) -> Formula:
    """At least one part holds."""
    return _fold("any", parts, decisive=True)


def _fold(word: str, parts: Iterable[Formula], *, decisive: bool) -> Formula:
    left: list[Formula] = []
    for part in parts:
        if part is decisive:
            return decisive
        if not isinstance(part, bool):
            left.append(part)
    if not left:
        return not decisive
    return left[0] if len(left) == 1 else [word, *left]
