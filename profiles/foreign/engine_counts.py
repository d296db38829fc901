"""What one engine's counters and histograms have gained over a watch, through restarts of its process.

A counter that went back has begun anew at zero, so what it shows then is gained since. Knows nothing of what
an engine was doing.
"""

import math
from collections import defaultdict

import msgspec

from .exposition import Histogram, Reading


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Of ``count`` requests (or tokens), in seconds: the mean, and the bound that 99 % of them keep.

    The bound is one of the histogram's; None if it is beyond the last.
    """

    count: int
    mean_s: float
    p99_at_most_s: float | None


class EngineCounts:
    """Takes an engine's readings in order. ``ns`` is the time from the first to the last."""

    def __init__(self) -> None:
        self.gained: defaultdict[str, float] = defaultdict(float)
        self.restarts = 0
        self.ns = 0
        self._latencies: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._last: tuple[Reading, int] | None = None

    def take(self, reading: Reading, now: int) -> None:
        """Take a reading."""
        if self._last is not None:
            before, then = self._last
            self.ns += now - then
            goes_on = reading.follows(before)
            self.restarts += not goes_on
            self._gain(reading, before if goes_on else None)
        self._last = reading, now

    def per_s(self, counter: str) -> float:
        """How fast a counter went up."""
        return self.gained[counter] / (self.ns / 1e9) if self.ns else 0.0

    def share(self, part: str, whole: str) -> float | None:
        """One counter's gain over another's; None where there is nothing to share."""
        return self.gained[part] / self.gained[whole] if self.gained[whole] else None

    def latencies(self) -> dict[str, Latency]:
        """Those of which there is anything to tell."""
        return {name: _latency(gained) for name, gained in self._latencies.items() if gained.count}

    def _gain(self, reading: Reading, before: Reading | None) -> None:
        for name, value in reading.counters.items():
            self.gained[name] += value - (before.counters.get(name, 0.0) if before else 0.0)
        for name, histogram in reading.latencies.items():
            since = before.latencies.get(name, Histogram()) if before else Histogram()
            self._latencies[name] = self._latencies[name].plus(histogram.since(since))


def _latency(gained: Histogram) -> Latency:
    enough = 0.99 * gained.count
    bound = next((bound for bound, count in sorted(gained.at_most.items()) if count >= enough), math.inf)
    return Latency(
        count=round(gained.count),
        mean_s=gained.sum / gained.count,
        p99_at_most_s=bound if math.isfinite(bound) else None,
    )
