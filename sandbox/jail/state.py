"""A session's state: a confined process that holds what the last good cell left, and forks to run the next.

Runs in the same process as the code of the session's earlier cells, and can therefore promise nothing:
whoever gives the orders must not believe it, and must be able to end it. The fork that runs a cell becomes
the next state; the process that it was forked from is the state to go back to until then.
"""

import gc
import os
import resource
import socket
from typing import NoReturn

from ..wire import CALL_FILES
from .runner import Cells

READY, HELLO, DONE = b"R", b"H", b"D"
CELL, BRANCH = b"C", b"B"
CONTROL_FD = 3
MAX_ORDER_FDS = CALL_FILES
_NEVER_FIRST = "500"
_AS_EVERYONE = "0"


def live(control: socket.socket) -> NoReturn:
    """Obey orders until the socket closes: ``C`` with code, stdin, stdout, stderr; ``B`` with a socket."""
    gc.enable()
    cells = Cells()
    control.send(READY)
    while True:
        _leave_room_for_files(0)
        order, fds, _, _ = socket.recv_fds(control, 1, MAX_ORDER_FDS)
        if not order:
            os._exit(0)
        _reap()
        if os.fork() == 0:
            if order == BRANCH:
                os.dup2(fds[0], CONTROL_FD)
                os.close(fds[0])
                control.send(READY)
            else:
                _run_cell(control, cells, fds)
        else:
            for fd in fds:
                os.close(fd)


def take_files(files: list[int]) -> bytes:
    """Make a call's files this process's standard ones; return the source."""
    code, *standard = files
    source = os.pread(code, os.fstat(code).st_size, 0)
    for target, fd in enumerate(standard):
        os.dup2(fd, target)
    for fd in files:
        os.close(fd)
    return source


def _run_cell(control: socket.socket, cells: Cells, files: list[int]) -> None:
    _prefer_in_want_of_memory(_NEVER_FIRST)
    source = take_files(files)
    _leave_room_for_files(MAX_ORDER_FDS)
    control.send(HELLO)
    status = cells.run(source)
    _prefer_in_want_of_memory(_AS_EVERYONE)
    control.send(DONE + bytes((status, cells.memory_error)))


def _prefer_in_want_of_memory(score: str) -> None:
    """Let the kernel's out-of-memory killer choose the running cell before the state that it came from."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(score)
    except OSError:
        pass


def _leave_room_for_files(room: int) -> None:
    """Keep a cell from opening so many files that the state could not receive the next cell's."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most - room, most))


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
