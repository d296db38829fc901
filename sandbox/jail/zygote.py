"""Forks slots on request from a warm interpreter, and ends with its parent.

Invariants: single-threaded and without a secret, since every snippet can read all its memory; when the
control socket closes or the parent's pidfd fires, it exits, and every slot and run with it. Knows nothing of
calls.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
from typing import NamedTuple, NoReturn

from . import syscalls, tree
from .confinement import Isolation
from .identity import map_identity
from .slot import Slot

_REAP_EVERY_MS = 2000
_SANDBOX_UID = 1000


class _Forked(NamedTuple):
    pid: int
    pidfd: int


class Zygote:
    """The serving loop of one warm interpreter."""

    def __init__(
        self, control: socket.socket, parent: int, isolation: Isolation, scratch: str, program: bytes
    ) -> None:
        self._control = control
        self._parent = parent
        self._isolation = isolation
        self._scratch = scratch
        self._program = program
        self._slots: dict[int, _Forked] = {}
        self._poll = select.poll()

    def serve(self) -> None:
        """Obey the control socket until it closes: ``F`` forks a slot on a given socket, ``K`` kills one."""
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._parent, select.POLLIN)
        while True:
            ready = [fd for fd, _ in self._poll.poll(_REAP_EVERY_MS)]
            self._reap()
            if self._parent in ready or (self._control.fileno() in ready and not self._obey()):
                break
        if self._isolation is not Isolation.NAMESPACES:
            tree.end_descendants()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _scratch_of(self, slot: int) -> str:
        return os.path.join(self._scratch, str(slot))

    def _obey(self) -> bool:
        message, fds, _, _ = socket.recv_fds(self._control, 16, 1)
        if not message:
            return False
        number = int.from_bytes(message[1:], "big")
        if message[:1] == b"F":
            pid = self._fork_slot(number, fds[0])
            os.close(fds[0])
            if pid:
                self._slots[number] = forked = _Forked(pid, os.pidfd_open(pid))
                self._poll.register(forked.pidfd, select.POLLIN)
        elif number in self._slots:
            signal.pidfd_send_signal(self._slots[number].pidfd, signal.SIGKILL)
        return True

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                for number, forked in list(self._slots.items()):
                    if forked.pid == pid:
                        self._poll.unregister(forked.pidfd)
                        os.close(forked.pidfd)
                        del self._slots[number]
                        if self._isolation is not Isolation.NAMESPACES:
                            shutil.rmtree(self._scratch_of(number), ignore_errors=True)
        if self._isolation is not Isolation.NAMESPACES:
            for pid in set(tree.children(os.getpid())) - {forked.pid for forked in self._slots.values()}:
                os.kill(pid, signal.SIGKILL)

    def _fork_slot(self, number: int, fd: int) -> int:
        if self._isolation is not Isolation.NAMESPACES:
            os.mkdir(self._scratch_of(number))
            pid = os.fork()
            if pid == 0:
                self._become_slot(fd, self._scratch_of(number))
            return pid
        # A pid namespace takes in only the children of the process that made it: hence one in between.
        answer, report = os.pipe()
        middle = os.fork()
        if middle == 0:
            self._enclose_slot(fd, report)
        os.close(report)
        os.waitpid(middle, 0)
        number = int.from_bytes(os.read(answer, 8), "big")
        os.close(answer)
        return number

    def _enclose_slot(self, fd: int, report: int) -> NoReturn:
        try:
            outside_uid, outside_gid = os.getuid(), os.getgid()
            syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
            map_identity(f"{_SANDBOX_UID} {outside_uid} 1", f"{_SANDBOX_UID} {outside_gid} 1")
            pid = os.fork()
            if pid == 0:
                self._become_slot(fd, self._scratch)
            os.write(report, pid.to_bytes(8, "big"))
        except BaseException as error:
            os.write(fd, f"\x00{error}".encode())
        finally:
            os._exit(0)

    def _become_slot(self, fd: int, scratch: str) -> NoReturn:
        try:
            os.setsid()
            os.dup2(fd, 3)
            syscalls.close_from(4)
            connection = socket.socket(fileno=3)
            try:
                slot = Slot(connection, self._isolation, scratch, self._program)
            except BaseException as error:
                connection.sendall(f"\x00{error}".encode())
                raise
            slot.serve()
        finally:
            os._exit(0)
