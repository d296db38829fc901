"""The event log: one append-only file of JSON lines, which recording, attribution and replay all share.

The first line is a ``Header``; every further line is one event struct. Lines are flushed once a second and
at close. A torn last line (a process that was killed) is tolerated and reported; any other unreadable
line is an error that names it. Knows nothing of what the events mean.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from headway.errors import HeadwayError, InputError
from headway.scheduler import events

SCHEMA = "headway.events"
VERSION = 1
FLUSH_S = 1.0

AnyEvent = (
    events.EngineChanged
    | events.EngineLoad
    | events.TrajectoryStarted
    | events.TrajectoryEnded
    | events.TurnReady
    | events.TurnHeld
    | events.TurnDispatched
    | events.TurnEnded
    | events.Parked
    | events.ToolStarted
    | events.ToolEnded
    | events.PhaseChanged
)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. ``wall_ns`` is the Unix time at which the log's clock stood at ``t``."""

    schema: Literal["headway.events"] = SCHEMA
    version: int = VERSION
    t: int
    wall_ns: int
    engines: list[str]
    model: str
    policy: str


class EventLog:
    """Writes an event log; an event sink. Raises ``HeadwayError`` where the disk takes no more."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self._encoder = msgspec.json.Encoder()
        self._buffer = bytearray()
        self._flushed = time.monotonic()
        self._file = path.open("xb", buffering=0)
        self._write(header)
        self.flush()

    def emit(self, event: events.Event) -> None:
        """Append one event."""
        self._write(event)
        if time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Hand everything so far to the operating system."""
        self._flushed = time.monotonic()
        while self._buffer:
            try:
                written = self._file.write(self._buffer)
            except OSError as error:
                raise HeadwayError(f"{self.path}: cannot write the event log: {error.strerror}") from error
            del self._buffer[: written or 0]

    def close(self) -> None:
        """Flush and close; safe to call twice."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def _write(self, record: msgspec.Struct) -> None:
        self._encoder.encode_into(record, self._buffer, -1)
        self._buffer += b"\n"


class Reader:
    """Reads an event log. ``torn`` is true after reading a log whose last line is incomplete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = False
        self._decoder = msgspec.json.Decoder(AnyEvent)
        with _opened(path) as file:
            first = file.readline()
        try:
            self.header = msgspec.json.decode(first, type=Header)
        except msgspec.DecodeError as error:
            raise InputError(f"{path}:1: not the header of an event log: {error}") from error
        if self.header.version != VERSION:
            raise InputError(
                f"{path}:1: the log has schema version {self.header.version}; this headway reads {VERSION}"
            )

    def __iter__(self) -> Iterator[events.Event]:
        """Yield the events in order."""
        with _opened(self.path) as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    continue
                if not line.endswith(b"\n"):
                    self.torn = True
                    return
                try:
                    yield self._decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise InputError(f"{self.path}:{number}: not an event: {error}") from error


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot read the event log: {error.strerror}") from error
