"""A zygote seen from the parent: starts it, asks it for slots, ends it.

Invariants: a zygote that started is isolated as asked, or ``launch`` raised ``IsolationUnavailable``; closing
it ends every slot and run below it. It is given no environment of the parent's. Knows nothing of snippets.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .errors import IsolationUnavailable, WorkerLost
from .flavour import Flavour
from .jail.confinement import Isolation

_START_S = 120.0
_STOP_S = 10.0
_HERE = Path(__file__).parent

# Loads the jail without running this package's own __init__ files, whose imports a zygote must not hold.
_BOOTSTRAP = """
import sys, types
for name, path in zip(("headway", "headway.sandbox"), sys.argv[1:3]):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from headway.sandbox.jail.launcher import main
main(sys.argv[3])
"""
# The interpreter ignores the user's site and the current folder. Not -I, which would ignore the fixed hash
# seed, too: the same snippet shall print a set in the same order wherever it runs.
_OPTIONS = ("-s", "-P", "-B", "-X", "utf8")
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class Launch(Protocol):
    """Starts a zygote of a flavour under an isolation, or raises ``IsolationUnavailable``."""

    async def __call__(self, flavour: Flavour, isolation: Isolation) -> "Zygote":
        """Return the running zygote."""
        ...


class Zygote:
    """A running zygote process. ``launch`` makes one."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._forked = 0

    @property
    def pid(self) -> int:
        """The process below which everything that this zygote forked lives."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the zygote still holds its end of the control socket."""
        try:
            return bool(self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def fork_slot(self, slot_end: socket.socket, group_files: Sequence[int]) -> int:
        """Ask for a slot that serves the other end of a socket, with its group if any; return its number."""
        self._forked += 1
        try:
            socket.send_fds(
                self._control, [b"F" + self._forked.to_bytes(8, "big")], [slot_end.fileno(), *group_files]
            )
        except OSError as error:
            raise WorkerLost(str(error)) from error
        return self._forked

    def kill_slot(self, number: int) -> None:
        """Kill a slot that does not answer, and all below it."""
        with contextlib.suppress(OSError):
            self._control.send(b"K" + number.to_bytes(8, "big"))

    async def close(self) -> None:
        """End the zygote and all below it, and wait until they are gone."""
        self._hang_up()
        try:
            await asyncio.to_thread(self._process.wait, _STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            await asyncio.to_thread(self._process.wait)

    def kill(self) -> None:
        """End a zygote that does not do as it is told; it is not alive from then on."""
        self._hang_up()
        self._process.kill()

    def _hang_up(self) -> None:
        """Close the control socket, also where a fork of this process still holds it."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()


async def launch(flavour: Flavour, isolation: Isolation) -> Zygote:
    """Start a zygote and wait until it is isolated and warm."""
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.setblocking(False)
    parent = os.pidfd_open(os.getpid())
    try:
        zygote = Zygote(_spawn(flavour, isolation, theirs.fileno(), parent), control)
    finally:
        theirs.close()
        os.close(parent)
    try:
        async with asyncio.timeout(_START_S):
            report = (await asyncio.get_running_loop().sock_recv(control, 4096)).decode()
    except BaseException:
        await zygote.close()
        raise
    if report != "R":
        await zygote.close()
        step, _, reason = report[1:].partition(": ")
        raise IsolationUnavailable(step or "start", reason or "the zygote ended without a word")
    return zygote


def _spawn(flavour: Flavour, isolation: Isolation, control: int, parent: int) -> subprocess.Popen[bytes]:
    config = {
        "control": control,
        "parent": parent,
        "isolation": isolation.value,
        "packages": flavour.value,
    }
    return subprocess.Popen(
        [sys.executable, *_OPTIONS, "-c", _BOOTSTRAP, str(_HERE.parent), str(_HERE), json.dumps(config)],
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(control, parent),
        start_new_session=True,
        cwd="/",
    )
