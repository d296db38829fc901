"""Forks slots on request from a warm interpreter, and ends with its parent.

Invariants: single-threaded and without a secret, since every snippet can read all its memory; when the
control socket closes or the parent's pidfd fires, it exits, and every slot and run with it. Knows nothing of
calls.
"""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
from typing import NamedTuple, NoReturn

from . import syscalls, tree
from .confinement import Isolation
from .identity import map_identity
from .memory_group import MemoryGroup
from .slot import Slot

_REAP_EVERY_MS = 2000
_SANDBOX_UID = 1000


_MAX_FDS = 5
_FIRST_FD = 3


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
        message, fds, _, _ = socket.recv_fds(self._control, 16, _MAX_FDS)
        if not message:
            return False
        number = int.from_bytes(message[1:], "big")
        if message[:1] == b"F":
            pid = self._fork_slot(number, fds)
            for fd in fds:
                os.close(fd)
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

    def _fork_slot(self, number: int, fds: list[int]) -> int:
        if self._isolation is not Isolation.NAMESPACES:
            os.mkdir(self._scratch_of(number))
            pid = os.fork()
            if pid == 0:
                self._become_slot(fds, self._scratch_of(number))
            return pid
        # A pid namespace takes in only the children of the process that made it: hence one in between.
        answer, report = os.pipe()
        middle = os.fork()
        if middle == 0:
            self._enclose_slot(fds, report)
        os.close(report)
        os.waitpid(middle, 0)
        number = int.from_bytes(os.read(answer, 8), "big")
        os.close(answer)
        return number

    def _enclose_slot(self, fds: list[int], report: int) -> NoReturn:
        try:
            outside_uid, outside_gid = os.getuid(), os.getgid()
            syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
            map_identity(f"{_SANDBOX_UID} {outside_uid} 1", f"{_SANDBOX_UID} {outside_gid} 1")
            pid = os.fork()
            if pid == 0:
                self._become_slot(fds, self._scratch)
            os.write(report, pid.to_bytes(8, "big"))
        except BaseException as error:
            os.write(fds[0], f"\x00{error}".encode())
        finally:
            os._exit(0)

    def _become_slot(self, fds: list[int], scratch: str) -> NoReturn:
        line = socket.socket(fileno=fds[0])
        try:
            os.setsid()
            try:
                _, *group = _renumbered(fds)
                line.detach()
                line = socket.socket(fileno=_FIRST_FD)
                memory_group = MemoryGroup(group) if group else None
                slot = Slot(line, self._isolation, scratch, self._program, memory_group)
            except BaseException as error:
                line.sendall(f"\x00{error}".encode())
                raise
            slot.serve()
        finally:
            os._exit(0)


def _renumbered(fds: list[int]) -> list[int]:
    """Close every descriptor but the standard and the given ones; return these, renumbered from 3."""
    kept = list(range(_FIRST_FD, _FIRST_FD + len(fds)))
    above = max(*fds, kept[-1]) + 1
    for fd, target in zip([fcntl.fcntl(fd, fcntl.F_DUPFD, above) for fd in fds], kept, strict=True):
        os.dup2(fd, target)
    syscalls.close_from(_FIRST_FD + len(fds))
    return kept
