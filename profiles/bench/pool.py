"""Measures many (cell, policy) pairs in several processes, and hands each over as it is done.

Invariant: a pair that fails is handed over as a failure and takes no other along.
"""

from collections.abc import Callable, Generator, Sequence

import msgspec

from ..pool import FailedCall, call_all
from .cell import Cell
from .measure import measure_simulated
from .row import Measured

Arm = tuple[Cell, str]


class Failed(msgspec.Struct, frozen=True):
    """A policy that did not get through a cell, and why."""

    cell: Cell
    policy: str
    why: str


Measure = Callable[[Cell, str], Measured]


def measure_all(
    arms: Sequence[Arm], *, jobs: int, measure: Measure = measure_simulated
) -> Generator[Measured | Failed, None, None]:
    """Yield every pair's measurement as it ends. Closing the iterator ends the processes at once."""
    for outcome in call_all(measure, arms, jobs=jobs):
        yield Failed(*outcome.arguments, outcome.why) if isinstance(outcome, FailedCall) else outcome
