"""The present state of a run whose events are followed from outside.

Knows nothing of where the events come from.
"""

from headway.scheduler.events import Event

from ..attribution import Attribution
from ..event_log import Header
from .counts import Counts
from .eldest import Elder, Eldest
from .recent import Recent, Stretch
from .snapshot import Snapshot, take_snapshot


class LiveRun:
    """An event sink. ``advance`` tells it how far events are known to be complete."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self._attribution = Attribution(header.engines, header.t)
        self._counts = Counts()
        self._eldest = Eldest()
        self._recent = Recent()

    def emit(self, event: Event) -> None:
        """Take one event."""
        self.advance(event.t)
        self._attribution.take(event)
        self._counts.emit(event)
        self._eldest.emit(event)

    def advance(self, until: int) -> None:
        """No event before this time will come any more."""
        self._attribution.advance(until)
        if self._recent.is_due(self._attribution.wall_ns):
            self._recent.keep(self.snapshot())

    @property
    def now(self) -> int:
        """The latest time that is known of, on the log's clock."""
        return self.header.t + self._attribution.wall_ns

    def snapshot(self) -> Snapshot:
        """The whole run so far."""
        return take_snapshot(self._attribution, self._counts)

    def last_minute(self, now: Snapshot) -> Stretch:
        """The last minute before a snapshot, or what there was of it."""
        return self._recent.until(now)

    def eldest(self, count: int) -> list[Elder]:
        """The trajectories that have been live for longest, and what they are doing."""
        return self._eldest.eldest(count)
