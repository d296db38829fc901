"""The event log: one append-only file of JSON lines, which recording, attribution and replay all share.

The first line is a ``Header``; every further line is one event struct, or a ``Mark`` that says how many
events there have been. A torn last line (a process that was killed) is tolerated and reported; where a line
cannot be read, or the events between two marks are too few, the time between is a ``Gap``. ``emit`` only
buffers and never raises; ``flush`` does the writing. Knows nothing of what the events mean.
"""

import asyncio
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from headway.errors import InputError
from headway.jsonl import JsonLines
from headway.scheduler import events

from .log_blocks import LogBlocks
from .log_records import AnyEvent, Header, Mark, read_header

__all__ = ["EventLog", "Header", "Reader"]

_BLOCK = 10_000  # events between two marks at most
_GZIP = b"\x1f\x8b"
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)


class EventLog:
    """Writes an event log; an event sink. Its owner flushes it, about once a second, and closes it."""

    def __init__(self, path: Path, header: Header) -> None:
        self._lines = JsonLines(path)
        self._lines.add(header)
        self._t = header.t
        self._loop = _running_loop()
        self._events = 0
        self._marked = 0
        self._lines.flush()

    def emit(self, event: events.Event) -> None:
        """Append one event; never raises."""
        self._lines.add(event)
        self._t = max(self._t, event.t)
        self._events += 1
        if self._events - self._marked >= _BLOCK:
            self._mark()

    def flush(self) -> None:
        """Hand every event so far to the operating system; raises ``HeadwayError`` where it takes no more."""
        self._mark()
        self._lines.flush()

    def close(self) -> None:
        """Flush and close; safe to call twice."""
        if not self._lines.closed:
            self._mark(last=True)
        self._lines.close()

    def _mark(self, *, last: bool = False) -> None:
        if self._loop is not None and self._loop is _running_loop():  # another one has another clock
            self._t = max(self._t, events.now_ns())
        self._lines.add(Mark(t=self._t, events=self._events, last=last))
        self._marked = self._events


class Reader:
    """Reads an event log, also one that is compressed by gzip.

    After an iteration ``torn`` is true for a log whose last line is incomplete, ``closed`` for one that its
    writer closed, ``end`` is the latest time that it knows of, ``lost`` the number of events known to be
    missing and ``unreadable`` the lines that are no event, with why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = False
        self.unreadable: list[tuple[int, str]] = []
        self._decoder: msgspec.json.Decoder[events.Event] = msgspec.json.Decoder(AnyEvent | Mark)
        try:
            with _opened(path) as file:
                self.header = read_header(path, file.readline())
        except _DAMAGED as error:
            raise InputError(f"{path}: cannot be read as gzip: {error}") from error
        self._blocks = LogBlocks(self.header)

    @property
    def closed(self) -> bool:
        """Whether the writer closed it."""
        return self._blocks.closed

    @property
    def lost(self) -> int:
        """Events that are known to be missing."""
        return self._blocks.lost

    @property
    def end(self) -> int:
        """The latest time that it knows of."""
        return self._blocks.latest

    def __iter__(self) -> Iterator[events.Event]:
        """Yield the events in order, and a ``Gap`` before those next to which some are missing."""
        self.torn, self.unreadable = False, []
        blocks = self._blocks = LogBlocks(self.header)
        for record in self._decoded(blocks):
            yield from blocks.take(record)
        yield from blocks.last()

    def _decoded(self, blocks: LogBlocks) -> Iterator[events.Event]:
        with _opened(self.path) as file:
            file.readline()
            try:
                for number, line in enumerate(file, 2):
                    if not line.endswith(b"\n"):
                        self.torn = True
                        return
                    try:
                        yield self._decoder.decode(line)
                    except (msgspec.DecodeError, UnicodeDecodeError) as error:
                        self.unreadable.append((number, str(error)))
                        blocks.miss()
            except _DAMAGED:  # what comes after it cannot be read
                self.torn = True


def _opened(path: Path) -> BinaryIO:
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot read the event log: {error.strerror}") from error
    compressed = file.read(2) == _GZIP
    file.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if compressed else file


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
