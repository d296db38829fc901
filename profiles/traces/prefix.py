"""What two sequences begin with in common."""

import itertools
from collections.abc import Sequence
from typing import Any


def common(a: Sequence[Any], b: Sequence[Any]) -> int:
    """How many of their first items are equal."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))
    return sum(1 for _ in same)
