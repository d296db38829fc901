"""How much a trajectory will grow until its next turn ends: an online mean and variance by turn index.

A turn index that was seen rarely leans on all turns together, and those on a prior (half of the turn's
limit, with half of that as its deviation), each worth ``PRIOR_WEIGHT`` observations. Pure arithmetic.
"""

from collections import defaultdict
from dataclasses import dataclass

PRIOR_WEIGHT = 4.0


@dataclass
class _Moments:
    count: float = 0.0
    mean: float = 0.0
    squares: float = 0.0  # sum of squared deviations (Welford)

    def add(self, value: float) -> None:
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)

    def blend(self, mean: float, variance: float) -> tuple[float, float]:
        """Mean and variance with a prior of ``PRIOR_WEIGHT`` observations mixed in."""
        total = self.count + PRIOR_WEIGHT
        blended = (self.count * self.mean + PRIOR_WEIGHT * mean) / total
        between = self.count * (self.mean - blended) ** 2 + PRIOR_WEIGHT * (mean - blended) ** 2
        return blended, (self.squares + PRIOR_WEIGHT * variance + between) / total


class GrowthForecast:
    """Learns, from ended turns, the tokens that a turn adds (its observation included)."""

    def __init__(self) -> None:
        self._all = _Moments()
        self._by_turn: defaultdict[int, _Moments] = defaultdict(_Moments)

    def learn(self, turn: int, tokens: int) -> None:
        """Take in that turn number ``turn`` added ``tokens``."""
        self._all.add(tokens)
        self._by_turn[turn].add(tokens)

    def growth(self, turn: int, limit: int) -> tuple[float, float]:
        """Mean and variance of the tokens that turn ``turn`` will add, where it may generate ``limit``."""
        overall = self._all.blend(limit / 2, (limit / 4) ** 2)
        return self._by_turn[turn].blend(*overall)
