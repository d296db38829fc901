"""A run's figures for readers in other threads, such as a metrics endpoint.

Invariants: events are taken and snapshots are made in the event loop's own thread; a reader has one whole
snapshot, which nothing changes any more. Knows nothing of who reads.
"""

from headway.scheduler.events import Event

from ..attribution import Attribution
from .counts import Counts
from .snapshot import Snapshot, take_snapshot


class Gauges:
    """An event sink beside an attribution, which somebody else feeds the same events, and before this one.

    ``snapshot`` is the latest that was published.
    """

    def __init__(self, attribution: Attribution) -> None:
        self._attribution = attribution
        self._counts = Counts()
        self.snapshot: Snapshot = take_snapshot(attribution, self._counts)

    def emit(self, event: Event) -> None:
        """Take one event."""
        self._counts.emit(event)

    def publish(self, now: int) -> None:
        """Let readers have the figures of ``now``."""
        self._attribution.advance(now)
        self.snapshot = take_snapshot(self._attribution, self._counts)
