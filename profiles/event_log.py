"""The event log: one append-only file of JSON lines, which recording, attribution and replay all share.

The first line is a ``Header``; every further line is one event struct, or a ``Mark`` that says how many
events there have been. A torn last line (a process that was killed) is tolerated and reported; where a line
cannot be read, or the events between two marks are too few, the time between is a ``Gap``. ``emit`` only
buffers and never raises; ``flush`` does the writing. Knows nothing of what the events mean.
"""

import asyncio
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, cast

import msgspec

from headway.errors import InputError
from headway.jsonl import JsonLines
from headway.scheduler import events

from .activity import Gap
from .gpu.sample import GpuFound, GpuSample

VERSION = 2
READABLE = (1, 2)  # without marks before 2
_BLOCK = 10_000  # events between two marks at most
_GZIP = b"\x1f\x8b"

AnyEvent = (
    events.EngineStarted
    | events.EngineChanged
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
    | events.Noted
    | GpuFound
    | GpuSample
)


class Mark(events.Event, frozen=True, kw_only=True):
    """A writer's word that the log holds ``events`` events up to here; ``last`` if it was closed then."""

    events: int
    last: bool = False


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. ``wall_ns`` is the Unix time at which the log's clock stood at ``t``; ``pid`` is the
    writer's."""

    schema: Literal["headway.events"] = "headway.events"
    version: int = VERSION
    t: int
    wall_ns: int
    engines: list[str]
    model: str
    policy: str
    pid: int | None = None


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
        self.torn = self.closed = False
        self.lost = 0
        self.unreadable: list[tuple[int, str]] = []
        self._decoder: msgspec.json.Decoder[events.Event] = msgspec.json.Decoder(AnyEvent | Mark)
        with _opened(path) as file:
            first = file.readline()
        try:
            self.header = msgspec.json.decode(first, type=Header)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}:1: not the header of an event log: {error}") from error
        if self.header.version not in READABLE:
            raise InputError(
                f"{path}:1: the log has schema version {self.header.version}; this headway reads "
                f"{' and '.join(map(str, READABLE))}"
            )
        self.end = self.header.t

    def __iter__(self) -> Iterator[events.Event]:
        """Yield the events in order, and a ``Gap`` before those next to which some are missing."""
        self.torn = self.closed = False
        self.lost, self.unreadable = 0, []
        start = self.end = self.header.t
        seen = 0
        block: list[events.Event] = []
        for event in self._decoded():
            self.end = max(self.end, event.t)
            if not isinstance(event, Mark):
                if self.header.version > 1:
                    block.append(event)
                    continue
                yield from self._checked([event], start, len(self.unreadable) - self.lost)
                start = self.end
                continue
            self.closed = event.last
            missing = max(event.events - seen - len(block), 0)
            yield from self._checked(block, start, missing)
            start, seen, block = self.end, event.events, []
        yield from self._checked(block, start, 0)

    def _checked(self, block: list[events.Event], start: int, missing: int) -> Iterator[events.Event]:
        self.lost += missing
        if missing:
            yield Gap(t=start, until=self.end)
        yield from block

    def _decoded(self) -> Iterator[events.Event]:
        with _opened(self.path) as file:
            file.readline()
            number = 1
            try:
                for number, line in enumerate(file, 2):
                    if not line.endswith(b"\n"):
                        self.torn = True
                        return
                    try:
                        yield self._decoder.decode(line)
                    except (msgspec.DecodeError, UnicodeDecodeError) as error:
                        self.unreadable.append((number, str(error)))
            except EOFError:  # the end of a compressed file is missing
                self.torn = True
            except OSError as error:
                raise InputError(f"{self.path}: cannot read it after line {number}: {error}") from error


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
