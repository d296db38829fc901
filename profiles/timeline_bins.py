"""Time in equal bins, while it is not known yet how long it will be: bins double in width as it grows.

Invariant: amounts are integers and none is lost: the sum over a row is what was added to it.
Knows nothing of what the rows stand for.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Row = TypeVar("Row", bound=Hashable)
Amounts = npt.NDArray[np.int64]

_NARROWEST = 1_000  # ns


class Bins(Generic[Row]):
    """Rows of at most ``most`` bins, an even number, that begin at ``start``."""

    def __init__(self, start: int, *, most: int) -> None:
        self.width = _NARROWEST
        self.rows: dict[Row, Amounts] = {}
        self._start = start
        self._most = most

    def add(self, row: Row, start: int, end: int, *, level: int = 1) -> None:
        """Add ``level`` for each nanosecond from ``start`` to ``end``; none of it is before the first bin."""
        self.reach(end)
        amounts = self.rows.get(row)
        if amounts is None:
            amounts = self.rows[row] = np.zeros(self._most, np.int64)
        width = self.width
        first, into = divmod(start - self._start, width)
        last, beyond = divmod(end - self._start, width)
        if first == last:
            amounts[first] += (end - start) * level
            return
        amounts[first] += (width - into) * level
        amounts[first + 1 : last] += width * level
        if beyond:
            amounts[last] += beyond * level

    def reach(self, end: int) -> None:
        """Make the bins wide enough for all time up to ``end``."""
        while end - self._start > self._most * self.width:
            self._double()

    def widen(self, width: int) -> None:
        """Make the bins as wide as those of another, which began as narrow."""
        while self.width < width:
            self._double()

    def _double(self) -> None:
        self.width *= 2
        for amounts in self.rows.values():
            half = self._most // 2
            amounts[:half] = amounts.reshape(-1, 2).sum(axis=1)
            amounts[half:] = 0


class Levels(Generic[Row]):
    """Levels that stay until they change, integrated over bins: the mean in one is its sum over its width."""

    def __init__(self, start: int, *, most: int) -> None:
        self.bins: Bins[Row] = Bins(start, most=most)
        self._now: dict[Row, tuple[int, int]] = {}  # the level, and since when
        self._start = start

    def set(self, row: Row, level: int, t: int) -> None:
        """From ``t`` on, a row has this level; before its first it had none."""
        before = self._now.get(row)
        if before is None:
            self._now[row] = level, max(t, self._start)
        elif before[0] != level:
            self._pass(row, *before, t)
            self._now[row] = level, max(t, before[1])

    def close(self, end: int) -> None:
        """Bring every row up to ``end``."""
        for row, (level, since) in self._now.items():
            self._pass(row, level, since, end)
            self._now[row] = level, max(end, since)

    def _pass(self, row: Row, level: int, since: int, t: int) -> None:
        if level and t > since:
            self.bins.add(row, since, t, level=level)
