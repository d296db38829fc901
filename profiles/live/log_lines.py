"""Turns the bytes of an event log into events as they come, in pieces of any size.

Invariant: bytes after the last line break wait for the rest of their line. Knows nothing of files or of time.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from headway.scheduler.events import Event

from ..log_blocks import LogBlocks
from ..log_records import AnyEvent, Header, Mark, read_header


class LogLines:
    """Takes bytes. ``header`` is None until the first line has come; ``name`` is for messages."""

    def __init__(self, name: Path) -> None:
        self.header: Header | None = None
        self._name = name
        self._rest = b""
        self._decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(AnyEvent | Mark)
        self._blocks: LogBlocks | None = None

    @property
    def torn(self) -> bool:
        """Whether the bytes so far end in the middle of a line."""
        return bool(self._rest)

    @property
    def until(self) -> int:
        """The time up to which every event has come."""
        return self._blocks.until if self._blocks else 0

    @property
    def lost(self) -> int:
        """Events that are known to be missing."""
        return self._blocks.lost if self._blocks else 0

    @property
    def closed(self) -> bool:
        """Whether the writer closed the log."""
        return self._blocks is not None and self._blocks.closed

    def take(self, data: bytes) -> Iterator[Event]:
        """Give out the events that are complete now; raises ``InputError`` for a header that is none."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self._blocks is None:
                self.header = read_header(self._name, line)
                self._blocks = LogBlocks(self.header)
            else:
                yield from self._line(self._blocks, line)

    def last(self) -> Iterator[Event]:
        """Give out those that no mark will come for, at the end of a log that was not closed."""
        if self._blocks is not None:
            yield from self._blocks.last()

    def _line(self, blocks: LogBlocks, line: bytes) -> Iterator[Event]:
        try:
            record = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            blocks.miss()
        else:
            yield from blocks.take(record)
