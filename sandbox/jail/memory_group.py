"""A slot's cgroup: an exact limit for the memory of all of a call's processes together.

The files were opened by the service; a slot sees no cgroup file system. Invariant: the slot itself is never
in the group, so running out of memory never ends it. Knows nothing of how the group came to be.
"""

import os
from collections.abc import Sequence

# A single process meets its own limit first and may handle the MemoryError; the group's is for their sum.
_SLACK = 16
_READ = 4096


class MemoryGroup:
    """The group of one slot, by the descriptors of its members, limit, peak and events."""

    def __init__(self, files: Sequence[int]) -> None:
        self._members, self._limit, self._peak, self._events = files
        self._kills_before = 0

    def begin(self, memory_bytes: int) -> None:
        """Set the limit of the call that follows, and forget the one before."""
        os.pwrite(self._limit, b"%d" % (memory_bytes + memory_bytes // _SLACK), 0)
        self._kills_before = self._kills()
        try:
            os.pwrite(self._peak, b"0", 0)
            self._has_peak = True
        except OSError:  # Linux before 6.12 cannot start anew
            self._has_peak = False

    def enter(self) -> None:
        """Move the calling process into the group, for good."""
        os.write(self._members, b"0")

    def is_exceeded(self) -> bool:
        """Whether the kernel ended a process of this call for want of memory."""
        return self._kills() > self._kills_before

    def peak_bytes(self) -> int:
        """The most that the call's processes held together; 0 where the kernel does not say."""
        return int(os.pread(self._peak, _READ, 0)) if self._has_peak else 0

    def _kills(self) -> int:
        for line in os.pread(self._events, _READ, 0).decode("ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
        return 0
