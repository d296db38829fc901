"""Rows side by side: policies against the best and against the bound, paired by seed.

Of a sweep only the best limit takes part. Knows nothing of how it is shown.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from .row import Row
from .sweep import best_limits, is_swept


class Spread(msgspec.Struct, frozen=True):
    """Figures of several seeds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


class Point(msgspec.Struct, frozen=True):
    """A policy at a pressure: its makespan over the best policy's of the same seed, and over the bound."""

    to_best: Spread
    to_bound: Spread
    rows: list[Row]


class Comparison:
    """One suite on so many engines."""

    def __init__(self, suite: str, engines: int, rows: Sequence[Row]) -> None:
        self.suite = suite
        self.engines = engines
        self._by_cell: defaultdict[tuple[str, float], dict[int, Row]] = defaultdict(dict)
        for row in rows:
            self._by_cell[row.policy, row.pressure][row.seed] = row
        self.pressures = sorted({row.pressure for row in rows})
        self._best = _best(rows)
        self.policies = sorted({row.policy for row in rows}, key=self._standing)

    @property
    def title(self) -> str:
        """What is compared on what."""
        return f"{self.suite}, {self.engines} engine{'s' if self.engines > 1 else ''}"

    def point(self, policy: str, pressure: float) -> Point | None:
        """How a policy did at a pressure; None if it was not run there."""
        rows = [row for _, row in sorted(self._by_cell[policy, pressure].items())]
        if not rows:
            return None
        return Point(
            Spread.of([row.makespan_s / self._best[pressure, row.seed] for row in rows]),
            Spread.of([row.to_bound for row in rows]),
            rows,
        )

    def gain(self, policy: str, rival: str, pressure: float) -> list[float]:
        """How many times as long the rival took, by seed."""
        ours, theirs = self._by_cell[policy, pressure], self._by_cell[rival, pressure]
        return [theirs[seed].makespan_s / ours[seed].makespan_s for seed in sorted(ours) if seed in theirs]

    def _standing(self, policy: str) -> tuple[float, str]:
        """The geometric mean over pressures of the median distance to the best."""
        points = [point for p in self.pressures if (point := self.point(policy, p))]
        return geometric_mean([point.to_best.median for point in points]), policy


def compare(rows: Iterable[Row]) -> list[Comparison]:
    """Compare by suite and number of engines, in the order in which they first come."""
    rows = list(rows)
    sets: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in [*(row for row in rows if not is_swept(row)), *best_limits(rows)]:
        sets[row.suite, row.engines].append(row)
    return [Comparison(suite, engines, same) for (suite, engines), same in sets.items()]


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean; 0 of none."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else 0.0


def _best(rows: Iterable[Row]) -> dict[tuple[float, int], float]:
    best: dict[tuple[float, int], float] = {}
    for row in rows:
        key = row.pressure, row.seed
        best[key] = min(best.get(key, row.makespan_s), row.makespan_s)
    return best
