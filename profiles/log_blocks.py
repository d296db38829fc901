"""Gives out the events of a log once it is known what is missing before them.

Invariants: a block of events is given out when the ``Mark`` after it has come; where it holds fewer events
than the mark says, a ``Gap`` goes before it. A log of version 1 has no marks: its events are given out at
once, with a gap where a line could not be read. Knows nothing of bytes or files.
"""

from collections.abc import Iterator

from headway.scheduler.events import Event

from .found_events import Gap
from .log_records import Header, Mark


class LogBlocks:
    """Takes the records of a log in order.

    ``until`` is the time up to which every event has been given out, ``latest`` that of the latest record;
    ``lost`` counts events that are known to be missing; ``closed`` says whether the writer closed the log.
    """

    def __init__(self, header: Header) -> None:
        self.until = self.latest = header.t
        self.lost = 0
        self.closed = False
        self._has_marks = header.version > 1
        self._block: list[Event] = []
        self._seen = 0
        self._broken = 0

    def take(self, record: Event) -> Iterator[Event]:
        """Take the next record, and give out what is complete now."""
        self.latest = max(self.latest, record.t)
        if isinstance(record, Mark):
            self.closed = record.last
            yield from self._complete(missing=record.events - self._seen - len(self._block))
            self._seen = record.events
        else:
            self._block.append(record)
            if not self._has_marks:
                yield from self._complete()

    def miss(self) -> None:
        """A line could not be read."""
        self._broken += 1

    def last(self) -> Iterator[Event]:
        """Give out those that no mark will come for, at the end of a log that was not closed."""
        yield from self._complete()

    def _complete(self, *, missing: int = 0) -> Iterator[Event]:
        missing, self._broken = max(missing, self._broken), 0
        block, self._block = self._block, []
        start, self.until = self.until, self.latest
        if missing > 0:
            self.lost += missing
            yield Gap(t=start, until=self.until)
        yield from block
