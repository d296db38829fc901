"""An append-only JSON-lines file that never blocks its writers: ``add`` buffers, its owner flushes.

Invariants: ``add`` never raises for the disk's sake; the buffer holds whole lines only, so a record that
cannot be encoded leaves nothing behind; after ``flush`` every record added so far is with the operating
system, or a ``HeadwayError`` says why not. Knows nothing of what the records mean.
"""

from pathlib import Path
from typing import Any

import msgspec

from headway.errors import HeadwayError

_BLOCK = 1 << 20


class JsonLines:
    """Writes records, one a line. ``append`` allows the file to be there already."""

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        self._encoder = msgspec.json.Encoder()
        self._buffer = bytearray()
        try:
            self._file = path.open("ab" if append else "xb", buffering=0)
        except OSError as error:
            raise HeadwayError(f"{path}: cannot make the file: {error.strerror}") from error

    def add(self, record: Any) -> None:
        """Take one record.

        A record that JSON has no words for (a foreign type, a lone surrogate) is its maker's mistake: it
        raises ``TypeError`` or ``ValueError``, and the file goes on without it.
        """
        self._buffer += self._encoder.encode(record) + b"\n"

    @property
    def size(self) -> int:
        """The bytes of the file and of what is to be written."""
        return self._file.tell() + len(self._buffer)

    @property
    def closed(self) -> bool:
        """Whether no more is taken."""
        return self._file.closed

    def flush(self) -> None:
        """Hand every record so far to the operating system."""
        while self._buffer:
            try:
                written = self._file.write(self._buffer)
            except OSError as error:
                raise HeadwayError(f"{self.path}: cannot write: {error.strerror}") from error
            del self._buffer[: written or 0]

    def close(self) -> None:
        """Flush and close; safe to call twice."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()


def cut_torn_line(path: Path) -> None:
    """Cut off a last line that was torn as its writer died, so that the next record has a line of its own."""
    try:
        with path.open("rb+") as file:
            end = file.seek(0, 2)
            torn = 0
            while torn < end:
                start = max(end - torn - _BLOCK, 0)
                file.seek(start)
                block = file.read(end - torn - start)
                if (last := block.rfind(b"\n")) >= 0:
                    torn += len(block) - last - 1
                    break
                torn += len(block)
            file.truncate(end - torn)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise HeadwayError(f"{path}: cannot write: {error.strerror}") from error


def shorten(path: Path, size: int) -> None:
    """Cut a file off after so many bytes; one that has fewer, or is not there, stays as it is."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(min(size, path.stat().st_size))
