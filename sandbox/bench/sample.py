"""What was seen of one call, and how calls stood in each other's way.

Invariant: samples are kept in the order in which the calls were submitted.
"""

import bisect
from collections.abc import Sequence
from typing import NamedTuple


class Sample(NamedTuple):
    """One call: when it was due, began to run and was answered, in seconds of one clock.

    ``right`` is false for a call that was not answered, or with a fault or with another output than its own.
    """

    due: float
    began: float
    ended: float
    right: bool

    @property
    def latency_s(self) -> float:
        """From when the call was due, not from when it was submitted: a late submission is not forgiven."""
        return self.ended - self.due


def overtaken(samples: Sequence[Sample]) -> list[int]:
    """For each call, how many that were submitted after it had ended before it began.

    First come, first served gives 0 for every call, however long the calls before it run.
    """
    later_ends: list[float] = []
    counts: list[int] = []
    for sample in reversed(samples):
        counts.append(bisect.bisect_left(later_ends, sample.began))
        bisect.insort(later_ends, sample.ended)
    return counts[::-1]
