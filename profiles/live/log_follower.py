"""Follows an event log that is being written, to the end of its run.

Invariants: only reads, and holds no lock; never waits for ever: a log ends when its writer has closed it,
when it has not grown for a while and the writer's process is gone (or, much later, though it lives), when it
is removed, and when it is cut short. Knows nothing of what events mean, nor that a run may have other logs.
"""

import asyncio
import gzip
import os
import zlib
from collections.abc import AsyncIterator
from enum import StrEnum
from io import BufferedIOBase
from pathlib import Path

import msgspec
import psutil

from headway.errors import InputError
from headway.scheduler.events import Event

from ..event_log import Header
from .log_lines import LogLines

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_CLOCKS_APART_S = 2.0  # between what the system and what the header say of when a process began


class Ending(StrEnum):
    """Why there is no more to come, in words."""

    CLOSED = "the run is over"
    ABANDONED = "the run is not writing any more: its process has ended, and did not close the log"
    HUNG = "the run's process lives, and has not written anything for long: it hangs"
    REMOVED = "the log has been removed"
    CUT = "the log has been cut short by somebody else"


class Batch(msgspec.Struct, frozen=True):
    """Events that have come, in order, and the time on the log's clock before which no more will."""

    events: list[Event]
    until: int


class LogFollower:
    """Reads a log that grows. It is looked at every ``look_s``; its writer should write every second.

    After ``quiet_s`` without a byte it is checked that the writer's process lives, and after ``hung_s`` it is
    given up all the same. ``ending`` is None until the log has ended.
    """

    def __init__(
        self, path: Path, *, look_s: float = 0.25, quiet_s: float = 30.0, hung_s: float = 600.0
    ) -> None:
        self.ending: Ending | None = None
        self._path = path
        self._look_s, self._quiet_s, self._hung_s = look_s, quiet_s, hung_s
        self._lines = LogLines(path)
        self._events: list[Event] = []  # read and not yet given out
        try:
            self._raw = path.open("rb")
            self._is_compressed = self._raw.read(2) == _GZIP
            self._raw.seek(0)
        except OSError as error:
            raise InputError(f"{path}: cannot read the event log: {error.strerror}") from error
        self._file: BufferedIOBase = self._raw
        if self._is_compressed:
            self._file = gzip.GzipFile(fileobj=self._raw)
        self._grown: float | None = None

    async def header(self) -> Header:
        """The log's header; raises ``InputError`` where the file has none."""
        while self._lines.header is None:
            if not await self._read_on():
                raise InputError(
                    f"{self._path}: has no whole line in it, and does not grow; it is no event log"
                )
        return self._lines.header

    async def batches(self) -> AsyncIterator[Batch]:
        """Every event as it comes, until the log has ended; once only. Raises ``InputError``."""
        await self.header()
        more = True
        while more:
            events, self._events = self._events, []
            yield Batch(events, self._lines.until)
            more = await self._read_on()
        yield Batch(self._events, self._lines.until)

    def close(self) -> None:
        """Read no more; safe to call twice."""
        self._raw.close()

    @property
    def lost(self) -> int:
        """Events that are known to be missing."""
        return self._lines.lost

    @property
    def share_read(self) -> float:
        """How much of what is there has been read, 0..1."""
        if self._raw.closed:
            return 1.0
        return self._raw.tell() / max(os.fstat(self._raw.fileno()).st_size, 1)

    async def _read_on(self) -> bool:
        """Read what is there, or wait a moment; false where the log has ended."""
        now = asyncio.get_running_loop().time()
        self._grown = now if self._grown is None else self._grown
        ended = self._ended(now - self._grown)  # asked first, so that nothing is written after the last look
        if data := self._read():
            self._grown = now
            self._events += self._lines.take(data)
            await asyncio.sleep(0)
            return True
        if ended is None:
            await asyncio.sleep(self._look_s)
            return True
        self.ending = ended
        self._events += self._lines.last()
        return False

    def _read(self) -> bytes:
        try:
            return self._file.read1(_CHUNK)  # not all at once: of a torn file, all up to the tear
        except EOFError:  # the end of a compressed file is missing
            return b""
        except (OSError, zlib.error) as error:
            raise InputError(f"{self._path}: cannot read the event log: {error}") from error

    def _ended(self, quiet_s: float) -> Ending | None:
        """Why no more will come than what is in the file by now; None where more may."""
        if self._lines.closed:
            return Ending.CLOSED
        if self._is_compressed:  # which is done once nobody writes any more
            return Ending.ABANDONED
        status = os.fstat(self._raw.fileno())
        if status.st_size < self._raw.tell():
            return Ending.CUT
        if not status.st_nlink:
            return Ending.REMOVED
        if quiet_s >= self._quiet_s and not _lives(self._lines.header):
            return Ending.ABANDONED
        return Ending.HUNG if quiet_s >= self._hung_s else None


def _lives(header: Header | None) -> bool:
    """Whether the process that writes a log still runs, and its number is not another's by now."""
    if header is None or header.pid is None:
        return False
    try:
        process = psutil.Process(header.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(process.create_time() <= header.wall_ns / 1e9 + _CLOCKS_APART_S)
    except psutil.Error:
        return False
