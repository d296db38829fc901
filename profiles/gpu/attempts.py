"""What of one GPU can still be read: a thing that has failed for good is noted once and not asked for again.

Invariants: an error of the driver never reaches the caller; no two notes are about one thing. Knows nothing
of vendors.
"""

from collections.abc import Callable
from typing import TypeVar, get_args

from .driver import Trouble
from .sample import Metric

T = TypeVar("T")

NAMES: dict[Metric, str] = {
    "sm": "activity",
    "dram": "DRAM bandwidth",
    "memory": "memory in use",
    "power": "power",
    "energy": "energy",
    "processes": "processes",
}


class Attempts:
    """Tries to read; ``trouble`` says what an error of the driver means."""

    def __init__(self, trouble: Callable[[Exception], Trouble]) -> None:
        self.lost = False
        self._trouble = trouble
        self._absent: set[Metric] = set()
        self._notes: dict[object, str] = {}  # by what each is about

    @property
    def metrics(self) -> list[Metric]:
        """What has not failed for good."""
        return [] if self.lost else [metric for metric in get_args(Metric) if metric not in self._absent]

    @property
    def notes(self) -> list[str]:
        """A line for each thing that could not be read."""
        return list(self._notes.values())

    def read(self, metric: Metric, call: Callable[[], T]) -> T | None:
        """What the call returns, or None where the metric cannot be read (now, or at all)."""
        if metric not in self.metrics:
            return None
        try:
            return call()
        except Exception as error:
            self._fail(metric, self._trouble(error))
            return None

    def rule_out(self, *metrics: Metric, reason: str) -> None:
        """Note that metrics cannot be read, all for one reason."""
        self._absent.update(metrics)
        self._note(metrics, f"no {' and no '.join(NAMES[metric] for metric in metrics)} ({reason})")

    def lose(self, reason: str) -> None:
        """Note that the GPU cannot be read at all, from now on."""
        self.lost = True
        self._note("gpu", f"it cannot be read ({reason})")

    def _fail(self, metric: Metric, trouble: Trouble) -> None:
        if trouble.kind == "lost":
            self.lose(trouble.reason)
        elif trouble.kind == "absent":
            self.rule_out(metric, reason=trouble.reason)
        else:
            self._note(metric, f"{NAMES[metric]} cannot be read at times ({trouble.reason})")

    def _note(self, about: object, note: str) -> None:
        self._notes.setdefault(about, note)
