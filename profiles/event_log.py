"""The event log: one append-only file of JSON lines, which recording, attribution and replay all share.

The first line is a ``Header``; every further line is one event struct. A torn last line (a process that
was killed) is tolerated and reported; any other unreadable line is an error that names it. ``emit`` only
buffers and never raises; ``flush`` does the writing. Knows nothing of what the events mean.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from headway.errors import InputError
from headway.jsonl import JsonLines
from headway.scheduler import events

VERSION = 1

AnyEvent = (
    events.EngineChanged
    | events.EngineLoad
    | events.TrajectoryStarted
    | events.TrajectoryEnded
    | events.TurnReady
    | events.TurnHeld
    | events.TurnDispatched
    | events.TurnEnded
    | events.TurnAbandoned
    | events.Parked
    | events.ToolStarted
    | events.ToolEnded
    | events.PhaseChanged
)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. ``wall_ns`` is the Unix time at which the log's clock stood at ``t``."""

    schema: Literal["headway.events"] = "headway.events"
    version: int = VERSION
    t: int
    wall_ns: int
    engines: list[str]
    model: str
    policy: str


class EventLog:
    """Writes an event log; an event sink. Its owner flushes it, about once a second, and closes it."""

    def __init__(self, path: Path, header: Header) -> None:
        self._lines = JsonLines(path)
        self._lines.add(header)
        self.flush()

    def emit(self, event: events.Event) -> None:
        """Append one event; never raises."""
        self._lines.add(event)

    def flush(self) -> None:
        """Hand every event so far to the operating system; raises ``HeadwayError`` where it takes no more."""
        self._lines.flush()

    def close(self) -> None:
        """Flush and close; safe to call twice."""
        self._lines.close()


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
