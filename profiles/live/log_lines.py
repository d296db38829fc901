"""Turns the bytes of an event log into events as they come, in pieces of any size.

Invariants: an event is given out once what is before it is known to be complete, which is when the next
``Mark`` has come (in logs of version 1, which have none, at once); where events are missing before that, a
``Gap`` goes before them. Bytes after the last line break wait for the rest of their line. Knows nothing of
files or of time.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from headway.errors import InputError
from headway.scheduler.events import Event

from ..activity import Gap
from ..event_log import READABLE, AnyEvent, Header, Mark


class LogLines:
    """Takes bytes. ``header`` is None until the first line has come, ``closed`` if the writer closed the log.

    ``until`` is the time up to which every event has come; ``lost`` counts those known to be missing.
    ``name`` is for messages.
    """

    def __init__(self, name: Path) -> None:
        self.header: Header | None = None
        self.until = 0
        self.lost = 0
        self.closed = False
        self._name = name
        self._rest = b""
        self._decoder = msgspec.json.Decoder(AnyEvent | Mark)
        self._block: list[Event] = []
        self._seen = 0
        self._latest = 0

    @property
    def torn(self) -> bool:
        """Whether the bytes so far end in the middle of a line."""
        return bool(self._rest)

    def take(self, data: bytes) -> Iterator[Event]:
        """Give out the events that are complete now; raises ``InputError`` for a header that is none."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self.header is None:
                self._begin(line)
            else:
                yield from self._line(line)

    def last(self) -> Iterator[Event]:
        """Give out those that no mark will come for, at the end of a log that was not closed."""
        yield from self._complete(self._seen)

    def _begin(self, line: bytes) -> None:
        try:
            header = msgspec.json.decode(line, type=Header)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{self._name}:1: not the header of an event log: {error}") from error
        if header.version not in READABLE:
            raise InputError(
                f"{self._name}:1: the log has schema version {header.version}; this headway reads "
                f"{' and '.join(map(str, READABLE))}"
            )
        self.header = header
        self.until = self._latest = header.t

    def _line(self, line: bytes) -> Iterator[Event]:
        assert self.header is not None
        try:
            event = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # it is missing at the next mark
        self._latest = max(self._latest, event.t)
        if isinstance(event, Mark):
            self.closed = event.last
            yield from self._complete(event.events)
        elif self.header.version == 1:
            self.until = self._latest
            yield event
        else:
            self._block.append(event)

    def _complete(self, events: int) -> Iterator[Event]:
        """There have been so many events up to here."""
        block, self._block = self._block, []
        missing = max(events - self._seen - len(block), 0)
        self._seen, self.lost = events, self.lost + missing
        start, self.until = self.until, self._latest
        if missing:
            yield Gap(t=start, until=self.until)
        yield from block
