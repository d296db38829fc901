"""Watches one run from its start to its end: clock, output, memory, processor time, processes, the parent.

Invariants: the cause of the end is decided here, from the clock, the kernel's accounts and the sizes of the
output files; when ``until_end`` returns, the run's root process is dead or (a session's cell) has said on its
line that it is done. Knows nothing of isolation, and never reads what the run wrote.
"""

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence

from ..wire import CANCEL, Call, Cause
from . import tree
from .held_memory import held_memory
from .line import hear
from .memory_group import MemoryGroup

HARD_OUTPUT_FACTOR = 64
_FIRST_LOOK_S = 0.01
_LOOK_EVERY_S = 0.025


class ParentGone(Exception):
    """The other end of the slot's socket is closed: nobody wants the result any more."""


class Watch:
    """One run's root process, its processes' group if any, and the files that it writes to."""

    def __init__(
        self,
        pid: int,
        call: Call,
        group: MemoryGroup | None,
        *,
        outputs: Sequence[int],
        parent: socket.socket,
        began: float,
        line: socket.socket | None = None,
        reaper: int = 0,
    ) -> None:
        self.cause = Cause.EXITED
        self.last_word = b""
        self._pid, self._pidfd = pid, os.pidfd_open(pid)
        self._call, self._group = call, group
        self._outputs = outputs
        self._parent, self._line = parent, line
        self._peak_seen = 0
        self._cpu_s = 0.0
        self._reaper, self._collected_before = reaper, tree.collected_s(reaper)
        self._deadline = began + call.wall_s
        self._next_look = began + _FIRST_LOOK_S
        self._poll = select.poll()
        for fd in (self._pidfd, parent.fileno(), *([line.fileno()] if line else [])):
            self._poll.register(fd, select.POLLIN)

    def until_end(self, members: Callable[[], list[int]], *, idle: Sequence[int] = ()) -> None:
        """Wait for the process to end, or end it at its first limit.

        ``members`` lists its processes; those in ``idle`` count for the memory limit, too.
        """
        try:
            while not self._step():
                now = time.monotonic()
                if self.cause is not Cause.EXITED:
                    continue
                if now >= self._deadline:
                    self._end(Cause.WALL)
                elif now >= self._next_look:
                    self._look(members(), idle)
                    self._next_look = time.monotonic() + _LOOK_EVERY_S
        finally:
            os.close(self._pidfd)
            self._pidfd = -1
        if self.cause is Cause.EXITED:
            self.cause = self._exceeded()

    @property
    def peak_memory_bytes(self) -> int:
        """The most memory that the processes held together: by their group, or the most that was seen."""
        return (self._group.peak_bytes() if self._group else 0) or self._peak_seen

    @property
    def cpu_s(self) -> float:
        """The processor time that was seen at the last look."""
        return self._cpu_s

    def _step(self) -> bool:
        wait_s = max(0.0, min(self._deadline, self._next_look) - time.monotonic())
        is_ending = self.cause is not Cause.EXITED
        over = False
        for fd, _ in self._poll.poll(None if is_ending else wait_s * 1000 + 1):
            if fd == self._pidfd:
                over = True
            elif fd == self._parent.fileno():
                self._hear_parent()
            elif self._line is not None and fd == self._line.fileno():
                over |= self._is_done(self._line)
        return over

    def _hear_parent(self) -> None:
        word, _ = hear(self._parent)
        if word != CANCEL:
            raise ParentGone
        self._end(Cause.WALL)

    def _is_done(self, line: socket.socket) -> bool:
        word, speaker = hear(line)
        if not speaker:  # nobody is there any more
            self._poll.unregister(line)
        elif speaker == self._pid and self.cause is Cause.EXITED:
            self.last_word = word
        return bool(self.last_word)

    def _look(self, pids: list[int], idle: Sequence[int]) -> None:
        processes, cpu_s = tree.processor_time(pids)
        self._cpu_s = max(self._cpu_s, cpu_s + self._collected())
        cause = self._exceeded()
        if cause is not Cause.EXITED:
            self._end(cause)
        elif self._group is None and self._is_over_memory([*pids, *idle]):
            self._end(Cause.MEMORY)
        elif self._cpu_s >= self._call.cpu_s:
            self._end(Cause.CPU)
        elif processes > self._call.processes:
            self._end(Cause.PROCESSES)

    def _collected(self) -> float:
        """The time of the run's processes that a process outside it waited for."""
        return tree.collected_s(self._reaper) - self._collected_before

    def _exceeded(self) -> Cause:
        """The limit that was passed for good, if any, which also counts once the run is over."""
        if any(os.fstat(fd).st_size > self._call.output_bytes * HARD_OUTPUT_FACTOR for fd in self._outputs):
            return Cause.OUTPUT
        return Cause.MEMORY if self._group is not None and self._group.is_exceeded() else Cause.EXITED

    def _is_over_memory(self, pids: Sequence[int]) -> bool:
        used = held_memory(pids, self._call.memory_bytes, self._deadline)
        self._peak_seen = max(self._peak_seen, used)
        return used > self._call.memory_bytes

    def _end(self, cause: Cause) -> None:
        if self.cause is Cause.EXITED:
            self.cause = cause
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
