"""The files of one call, in memory: its code and input, and what it writes to stdout and stderr.

Invariant: at most ``limit`` bytes of an output are ever read, its head and its tail, whatever was written;
the bytes are opaque. The files are gone with their last descriptor. Knows nothing of slots.
"""

import os
from fcntl import F_SETFL, fcntl
from typing import NamedTuple, Self


class Output(NamedTuple):
    """What a call wrote to one stream; ``dropped`` bytes between head and tail are left out."""

    content: bytes
    dropped: int


class CallFiles:
    """Code, stdin, stdout and stderr, as the descriptors that a slot hands on to the call's process."""

    def __init__(self, code: bytes, stdin: bytes) -> None:
        self.descriptors: list[int] = []
        try:
            for name in ("code", "stdin", "stdout", "stderr"):
                self.descriptors.append(os.memfd_create(name))
            self._stdout, self._stderr = self.descriptors[2:]
            for fd, content in zip(self.descriptors, (code, stdin), strict=False):
                _write(fd, content)
            for fd in (self._stdout, self._stderr):
                fcntl(fd, F_SETFL, os.O_APPEND)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def outputs(self, limit: int) -> tuple[Output, Output]:
        """Return stdout and stderr, each within the limit."""
        return read_bounded(self._stdout, limit), read_bounded(self._stderr, limit)

    def close(self) -> None:
        """Close the descriptors."""
        while self.descriptors:
            os.close(self.descriptors.pop())


def read_bounded(fd: int, limit: int) -> Output:
    """Read a whole file if it fits, or its head and tail around a line that counts what is left out."""
    size = os.fstat(fd).st_size
    if size <= limit:
        return Output(os.pread(fd, size, 0), 0)
    tail = limit // 2
    head = limit - tail
    dropped = size - limit
    notice = b"\n[... %d bytes left out ...]\n" % dropped
    return Output(os.pread(fd, head, 0) + notice + os.pread(fd, tail, size - tail), dropped)


def _write(fd: int, content: bytes) -> None:
    """Write without moving the position, which the call's process shares."""
    view, place = memoryview(content), 0
    while place < len(view):
        place += os.pwrite(fd, view[place:], place)
