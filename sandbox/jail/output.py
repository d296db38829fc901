"""Keeps the head and the tail of a stream of unknown length in bounded memory.

Invariant: at most ``limit`` bytes of the stream are kept, whatever arrives; the rest is counted, and a short
line stands in its place. The bytes are opaque. Knows nothing of pipes.
"""


class BoundedOutput:
    """One stream's output, at most ``limit`` bytes of it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head_room = limit - limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.received = 0

    def add(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        self.received += len(chunk)
        room = self._head_room - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > 2 * self._limit:
            del self._tail[: -self._tail_room]

    @property
    def _tail_room(self) -> int:
        return max(1, self._limit - self._head_room)

    @property
    def dropped(self) -> int:
        """How many bytes between the head and the tail are left out."""
        return max(0, self.received - len(self._head) - self._tail_room)

    def content(self) -> bytes:
        """The whole stream if it fits, or its head and tail around a line that counts what is left out."""
        if not self.dropped:
            return bytes(self._head + self._tail)
        tail = self._tail[-self._tail_room :]
        return bytes(self._head) + b"\n[... %d bytes left out ...]\n" % self.dropped + bytes(tail)
