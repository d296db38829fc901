"""Draws tasks to train on, in an order that only the source decides.

Invariants: ``position`` tasks have been taken from the source, drawn or left out; a cursor that is moved
there draws what this one would have drawn. Knows nothing of where tasks come from.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from headway.errors import HeadwayError
from headway.scheduler import Task


class TaskCursor:
    """Draws from ``source``, which has no end; ``pool``: all tasks that there are in it, if their number is
    finite.
    """

    def __init__(self, source: Iterator[Task], pool: Sequence[Task] = ()) -> None:
        self.pool = list(pool)
        self.position = 0
        self._source = source
        self._left_out: frozenset[str] = frozenset()

    @property
    def left_out(self) -> list[str]:
        """The ids of tasks that are not drawn."""
        return sorted(self._left_out)

    def leave_out(self, tasks: Collection[str]) -> None:
        """Draw these no more, by id, and all others again; raises ``HeadwayError`` where none is left."""
        if self.pool and all(task.id in tasks for task in self.pool):
            raise HeadwayError(
                f"all {len(self.pool)} tasks are solved every time, so none is left to learn from; "
                "train on harder ones, or with fewer steps"
            )
        self._left_out = frozenset(tasks)

    def move(self, position: int) -> None:
        """Go on from a position that another cursor of the same source had reached."""
        next(islice(self._source, position - self.position, position - self.position), None)
        self.position = position

    def draw(self) -> Task:
        """Return the next task."""
        while True:
            task = next(self._source)
            self.position += 1
            if task.id not in self._left_out:
                return task
