"""Watches one run from its start to its end: output, clock, memory, processes, and the parent.

Invariants: the cause of the end is decided here, from the clock and from ``/proc``; when ``until_end``
returns, the run's root process is dead or (a session's cell) has said on its line that it is done. Knows
nothing of isolation, and of Python only that the process wrote to two pipes.
"""

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence

from ..wire import Call, Cause
from . import tree
from .line import hear
from .memory_group import MemoryGroup
from .output import BoundedOutput

HARD_OUTPUT_FACTOR = 64
_FIRST_LOOK_S = 0.01
_LOOK_EVERY_S = 0.025
_CHUNK = 1 << 16


class ParentGone(Exception):
    """The other end of the slot's socket is closed: nobody wants the result any more."""


class Watch:
    """One run's root process and the pipes to it."""

    def __init__(
        self,
        pid: int,
        call: Call,
        group: MemoryGroup | None,
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        parent: int,
        began: float,
        line: socket.socket | None = None,
    ) -> None:
        self.cause = Cause.EXITED
        self.last_word = b""
        self._pid, self._line = pid, line
        self._idle: Sequence[int] = ()
        self._peak_seen = 0
        self._group = group
        self.outputs = {fd: BoundedOutput(call.output_bytes) for fd in (stdout, stderr)}
        self._call = call
        self._pidfd = os.pidfd_open(pid)
        self._stdin, self._unsent = stdin, memoryview(call.stdin)
        self._parent = parent
        self._hard_output = call.output_bytes * HARD_OUTPUT_FACTOR
        self._deadline = began + call.wall_s
        self._next_look = began + _FIRST_LOOK_S
        self._poll = select.poll()
        for fd in (self._pidfd, parent, stdout, stderr):
            self._poll.register(fd, select.POLLIN)
        if line is not None:
            self._poll.register(line, select.POLLIN)
        for fd in (stdin, stdout, stderr):
            os.set_blocking(fd, False)
        self._poll.register(stdin, select.POLLOUT)
        self._feed()

    def until_end(self, members: Callable[[], list[int]], *, idle: Sequence[int] = ()) -> None:
        """Wait for the process to end, or end it at its first limit.

        ``members`` lists its processes; those in ``idle`` count for the memory limit, too.
        """
        self._idle = idle
        try:
            while not self._step():
                now = time.monotonic()
                if self.cause is not Cause.EXITED:
                    continue
                if now >= self._deadline:
                    self._end(Cause.WALL)
                elif now >= self._next_look:
                    self._look(members())
                    self._next_look = time.monotonic() + _LOOK_EVERY_S
        finally:
            if self.cause is Cause.EXITED and self._group is not None and self._group.is_exceeded():
                self.cause = Cause.MEMORY
            os.close(self._pidfd)
            self._pidfd = -1
            if self._stdin >= 0:
                os.close(self._stdin)

    @property
    def peak_memory_bytes(self) -> int:
        """The most memory that the processes held together: by their group, or the most that was seen."""
        return (self._group.peak_bytes() if self._group else 0) or self._peak_seen

    def drain(self) -> None:
        """Read what is left in the pipes, once no process writes to them any more."""
        for fd in self.outputs:
            while self._read(fd):
                pass

    def _step(self) -> bool:
        wait_s = max(0.0, min(self._deadline, self._next_look) - time.monotonic())
        idle = self.cause is not Cause.EXITED
        dead = False
        for fd, _ in self._poll.poll(None if idle else wait_s * 1000 + 1):
            if fd == self._pidfd:
                dead = True
            elif fd == self._parent:
                raise ParentGone
            elif fd == self._stdin:
                self._feed()
            elif self._line is not None and fd == self._line.fileno():
                dead |= self._is_done(self._line)
            elif not self._read(fd):
                self._poll.unregister(fd)
        return dead

    def _is_done(self, line: socket.socket) -> bool:
        word, speaker = hear(line)
        if not word:
            self._poll.unregister(line)
        elif speaker == self._pid and self.cause is Cause.EXITED:
            self.last_word = word
        return bool(self.last_word)

    def _feed(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._stdin, self._unsent[: 1 << 20]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            pass
        self._poll.unregister(self._stdin)
        os.close(self._stdin)
        self._stdin = -1

    def _read(self, fd: int) -> bool:
        """Read once; False where nothing is left to read, or at the hard limit."""
        output = self.outputs[fd]
        room = self._hard_output - output.received
        try:
            chunk = os.read(fd, min(_CHUNK, room + 1))
        except BlockingIOError:
            return False
        output.add(chunk[:room])
        if len(chunk) > room:
            self._end(Cause.OUTPUT)
            return False
        return bool(chunk)

    def _look(self, pids: list[int]) -> None:
        usage = tree.measure(pids, self._call.memory_bytes, self._idle)
        self._peak_seen = max(self._peak_seen, usage.memory_bytes)
        is_over = usage.memory_bytes > self._call.memory_bytes
        if self._group.is_exceeded() if self._group else is_over:
            self._end(Cause.MEMORY)
        elif usage.cpu_s >= self._call.cpu_s:
            self._end(Cause.CPU)
        elif usage.processes > self._call.processes:
            self._end(Cause.PROCESSES)

    def _end(self, cause: Cause) -> None:
        if self.cause is Cause.EXITED:
            self.cause = cause
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
