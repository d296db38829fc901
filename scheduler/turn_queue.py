"""The turns that wait, in the order in which they are looked at.

Invariant: ordered by the key given as they came, and among equal keys by arrival in the queue.
"""

import itertools
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from sortedcontainers import SortedList

from .trajectory import Trajectory


class TurnQueue:
    """Trajectories with a ready turn that has not been placed."""

    def __init__(self) -> None:
        self._ordered: SortedList[tuple[Any, int, Trajectory]] = SortedList()  # rank, arrival: no two alike
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        return len(self._ordered)

    def __iter__(self) -> Iterator[Trajectory]:
        return map(itemgetter(2), self._ordered)

    def __contains__(self, trajectory: Trajectory) -> bool:
        return trajectory.queued_at is not None

    def at(self, position: int) -> Trajectory:
        """The trajectory at a position, 0 first."""
        found: Trajectory = self._ordered[position][2]
        return found

    def add(self, trajectory: Trajectory, rank: Any) -> None:
        """Queue a trajectory by its rank."""
        trajectory.queued_at = (rank, next(self._arrivals))
        self._ordered.add((*trajectory.queued_at, trajectory))

    def discard(self, trajectory: Trajectory) -> None:
        """Take a trajectory out; one that is not queued is ignored."""
        if trajectory.queued_at is not None:
            self._ordered.remove((*trajectory.queued_at, trajectory))
            trajectory.queued_at = None
