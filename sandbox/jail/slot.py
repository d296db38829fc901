"""One slot: a long-lived process that runs one snippet at a time, each in a confined child of its own.

Invariants: a run's processes are all dead before its ending is sent; the ending is made of what the kernel
and the clock say; when the parent's socket closes, the slot ends, and with it the run in flight. That the
child was confined is marked on a page that it can no longer reach when the snippet starts, so no snippet can
pass itself off as a fault of the sandbox. No code, input or output of a call is ever in a slot's memory,
which the next call's child inherits. A slot that is asked for a session's cell serves that session only.
"""

import gc
import mmap
import os
import shutil
import signal
import socket
import tempfile
import time
import traceback
from typing import NoReturn

from ..wire import CALL_BYTES, CALL_FILES, CANCEL, Call, Cause, Ending, Kind, pack_ending, unpack_call
from .confinement import Isolation
from .enclosure import Enclosure
from .memory_group import MemoryGroup
from .runner import run_main
from .state import take_files
from .states import States
from .watch import ParentGone, Watch

_READY = b"\x01"


class Slot:
    """Serves the calls that arrive on a socket, until it closes."""

    def __init__(
        self,
        connection: socket.socket,
        isolation: Isolation,
        scratch: str,
        program: bytes,
        group: MemoryGroup | None,
    ) -> None:
        self._connection = connection
        self._scratch = scratch
        self._confined = mmap.mmap(-1, mmap.PAGESIZE)
        self._memory_error = mmap.mmap(-1, mmap.PAGESIZE)
        self._enclosure = Enclosure(isolation, program, group)
        self._states: States | None = None

    def serve(self) -> None:
        """Say that the slot is ready, then answer calls one after another."""
        try:
            self._connection.sendall(_READY)
            while True:
                message, files, _, _ = socket.recv_fds(self._connection, CALL_BYTES, CALL_FILES)
                if not message:
                    raise ParentGone
                if message == CANCEL:  # for a call that had just ended
                    continue
                try:
                    ending = self._answer(unpack_call(message), files)
                finally:
                    for fd in files:
                        os.close(fd)
                self._connection.sendall(pack_ending(ending))
        except (ParentGone, OSError):
            if self._states is not None:
                self._states.end()
            self._enclosure.end_all()

    def _answer(self, call: Call, files: list[int]) -> Ending:
        if call.kind is Kind.RUN:
            return self._run_in_fresh_scratch(call, files)
        if self._states is None:
            self._states = States(self._enclosure, self._connection, self._scratch)
        return self._states.answer(call, files)

    def _run_in_fresh_scratch(self, call: Call, files: list[int]) -> Ending:
        if self._enclosure.isolation is Isolation.NAMESPACES:
            return self._run(call, files, self._scratch)  # a mount that ends with the call
        scratch = tempfile.mkdtemp(dir=self._scratch)
        try:
            return self._run(call, files, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _run(self, call: Call, files: list[int], scratch: str) -> Ending:
        self._confined[0] = self._memory_error[0] = 0
        began = time.monotonic()
        group = self._enclosure.group
        if group is not None:
            group.begin(call.memory_bytes)
        pid = self._enclosure.fork()
        if pid == 0:
            self._become_child(call, files, scratch)
        watch = Watch(pid, call, group, outputs=files[2:], parent=self._connection, began=began)
        watch.until_end(self._enclosure.members)
        _, wait_status, usage = os.wait4(pid, 0)
        self._enclosure.end_all()
        cpu_s = max(usage.ru_utime + usage.ru_stime, watch.cpu_s)
        cause = watch.cause
        if not self._confined[0]:
            cause = Cause.FAULT
        elif cause is Cause.EXITED and wait_status == signal.SIGKILL and cpu_s < call.cpu_s:
            cause = Cause.KILLED  # hardly by itself: the first process of a pid namespace cannot be
        return Ending(
            cause=cause,
            wait_status=wait_status,
            memory_error=bool(self._memory_error[0]),
            cpu_s=cpu_s,
            wall_s=time.monotonic() - began,
            peak_memory_bytes=watch.peak_memory_bytes or usage.ru_maxrss << 10,
        )

    def _become_child(self, call: Call, files: list[int], scratch: str) -> NoReturn:
        status = 1
        try:
            source = take_files(files)
            self._enclosure.confine(call, scratch)
            self._enclosure.seal()
            gc.enable()
            self._confined[0] = 1
            self._confined.close()
            status = run_main(source, self._note_memory_error)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)

    def _note_memory_error(self) -> None:
        self._memory_error[0] = 1
