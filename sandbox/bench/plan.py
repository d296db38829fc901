"""What a benchmark measures, in which order.

Invariants: within a round every executor makes the same calls of a snippet, one executor right after the
other, and each round begins with another executor: a machine that slows down for a while slows all of them.
Knows nothing of how a measurement is made.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")

OURS = "headway"
BARE_FORK = "bare fork"
BASELINE = "subprocess"
BUBBLEWRAP = "bubblewrap"
EXECUTORS = (OURS, BASELINE, BUBBLEWRAP)
_BURST_BUDGETS = 20
_SATURATED = 0.95


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The benchmark's options. ``outstanding``: the first for comparisons, others for bursts of ours.

    ``seconds`` bounds how long calls are submitted in a measurement, unless ``calls`` says how many they are.
    """

    executors: list[str]
    snippets: list[str]
    outstanding: list[int]
    calls: int | None
    rate: float | None
    load: float
    rounds: int
    workers: int
    seed: int
    seconds: float

    @property
    def bursts(self) -> list[int]:
        """The sizes of bursts."""
        return self.outstanding[1:]

    @property
    def measurements(self) -> int:
        """How many there are if none is left out."""
        closed = len(self.executors) + (OURS in self.executors)
        bursts = len(self.bursts) if OURS in self.executors else 0
        return self.rounds * len(self.snippets) * (closed + len(self.executors) + bursts)

    def arrival_rate(self, closed_rate: float) -> float:
        """Arrivals per second for an executor that does so many calls per second."""
        return self.rate if self.rate is not None else self.load * closed_rate

    def why_no_open_loop(self, closed_rate: float) -> str | None:
        """Why an executor of that rate gets no open loop, or None where it does."""
        if self.arrival_rate(closed_rate) < _SATURATED * closed_rate:
            return None
        rate = self.arrival_rate(closed_rate)
        return f"at {closed_rate:.3g} calls/s, {rate:g} arrivals/s only let its queue grow"

    def why_no_burst(self, size: int, closed_rate: float) -> str | None:
        """Why a burst is left out at that rate, or None where it is not."""
        needed_s, most_s = size / closed_rate, _BURST_BUDGETS * self.seconds
        if needed_s <= most_s:
            return None
        return (
            f"it would take {needed_s:,.0f} s at {closed_rate:.3g} calls/s, more than {most_s:,.0f} s; "
            f"--seconds {math.ceil(needed_s / _BURST_BUDGETS)} allows it"
        )


def rotated(items: Sequence[T], by: int) -> list[T]:
    """The items, from another one on."""
    start = by % len(items) if items else 0
    return [*items[start:], *items[:start]]
