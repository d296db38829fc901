"""The states of one session and its branches, seen from their slot: begin, cell, branch, drop.

Invariants: between calls every state is stopped (SIGSTOP) and nothing else of the session runs but the first
process of its pid namespace, which never ran a snippet; a cell that was cut off leaves the state that it
started from. Nothing is believed of what a state says but that its own cell ended well, which it could as
well have brought about; who says it is the kernel's word (SCM_CREDENTIALS).
"""

import contextlib
import os
import select
import signal
import socket
import time
from typing import NamedTuple, NoReturn

from ..wire import CANCEL, Call, Cause, Ending, Kind
from . import state as life
from . import syscalls, tree
from .confinement import Isolation
from .enclosure import Enclosure
from .line import forget_unheard, hear, make_line
from .watch import ParentGone, Watch

MAX_STATES = 16
_HELPERS = MAX_STATES + 2
_CANCELLED_S = 2.0


class State(NamedTuple):
    """A stopped process that holds what the cells before it left, and the line to it."""

    pid: int
    pidfd: int
    control: socket.socket


class Broken(Exception):
    """A state does not answer as it should."""


class States:
    """Every state of one slot. The first cell begins the session."""

    def __init__(self, enclosure: Enclosure, parent: socket.socket, scratch: str) -> None:
        self._enclosure = enclosure
        self._parent = parent
        self._scratch = scratch
        self._first = 0
        self._states: dict[int, State] = {}

    def answer(self, call: Call, files: list[int]) -> Ending:
        """Do what a call asks of the session; ``GONE`` where its state is no longer there."""
        if not self._first:
            try:
                self._begin(call)
            except (Broken, OSError) as error:
                if files:
                    os.write(files[-1], str(error).encode())
                return Ending(Cause.FAULT)
        state = self._states.get(call.state)
        try:
            if state is None:
                raise Broken
            if call.kind is Kind.CELL:
                return self._cell(call, state, files)
            if call.kind is Kind.BRANCH:
                self._branch(call, state)
            else:
                self._drop(call.state)
            return Ending(Cause.EXITED)
        except (Broken, ProcessLookupError):
            self._drop(call.state)
            return Ending(Cause.GONE)
        finally:
            self._settle()

    def end(self) -> None:
        """End the session at once."""
        for number in list(self._states):
            self._drop(number)
        if self._first:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._first, signal.SIGKILL)
            self._enclosure.end_all()

    def _settle(self) -> None:
        """Stop every state, then end all else: what is stopped cannot start anything meanwhile."""
        for state in self._states.values():
            _signal(state, signal.SIGSTOP)
        tree.await_stopped(self._pids())
        if not tree.end_others(self._enclosure.members, {self._first, *self._pids()}):
            self.end()
        for state in self._states.values():
            forget_unheard(state.control)

    def _begin(self, call: Call) -> None:
        ours, theirs = make_line()
        self._first = self._enclosure.fork()
        if self._first == 0:
            self._become_first(call, theirs)
        theirs.close()
        self._keep(0, ours, within_s=call.answer_s)
        self._settle()

    def _keep(self, number: int, control: socket.socket, *, within_s: float) -> None:
        message, pid = self._next_word(control, within_s)
        if message != life.READY:
            raise Broken(message[1:].decode("utf-8", "replace"))
        self._states[number] = State(pid, os.pidfd_open(pid), control)

    def _become_first(self, call: Call, control: socket.socket) -> NoReturn:
        """Become the first process: confined as all that follow, but unreadable to them; only reaps."""
        try:
            null = os.open("/dev/null", os.O_RDWR)
            for fd in range(3):
                os.dup2(null, fd)
            os.dup2(control.fileno(), life.CONTROL_FD)
            control.detach()
            control = socket.socket(fileno=life.CONTROL_FD)
            if self._enclosure.isolation is not Isolation.NAMESPACES:
                syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
            self._enclosure.confine(call, self._scratch, helpers=_HELPERS, first_closed=life.CONTROL_FD + 1)
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
            if os.fork() == 0:
                syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
                self._enclosure.seal()
                life.live(control)
            control.close()
            self._enclosure.seal()
            while True:
                try:
                    os.wait()
                except ChildProcessError:
                    break
        except BaseException as error:
            control.send(b"E" + str(error).encode()[:4096])
        finally:
            os._exit(0)

    def _cell(self, call: Call, state: State, files: list[int]) -> Ending:
        group = self._enclosure.group
        if group is not None:
            group.begin(call.memory_bytes)
        _signal(state, signal.SIGCONT)
        _order(state, life.CELL, files)
        pid = self._hello(state, call.answer_s)
        began = time.monotonic()  # what earlier cells do to a fork is not this cell's time
        watch = Watch(
            pid,
            call,
            group,
            outputs=files[2:],
            parent=self._parent,
            began=began,
            line=state.control,
            reaper=self._first,
        )
        watch.until_end(self._running, idle=self._pids())
        return self._conclude(call, state, watch, pid, began)

    def _conclude(self, call: Call, state: State, watch: Watch, pid: int, began: float) -> Ending:
        is_done = (
            watch.cause is Cause.EXITED and watch.last_word[:1] == life.DONE and len(watch.last_word) == 3
        )
        status, memory_error = watch.last_word[1:] if is_done else (0, 0)
        is_good = is_done and not memory_error
        wait_status = status << 8 if is_done else tree.wait_status(pid)
        cpu_s = max(tree.cpu_s(pid), watch.cpu_s)
        peak = watch.peak_memory_bytes or tree.peak_bytes(pid)
        if is_good:
            successor = State(pid, os.pidfd_open(pid), state.control)
            os.close(state.pidfd)
            self._states[call.state] = successor
        return Ending(
            cause=watch.cause,
            wait_status=wait_status if watch.cause is Cause.EXITED else signal.SIGKILL,
            memory_error=bool(memory_error),
            cpu_s=cpu_s,
            wall_s=time.monotonic() - began,
            peak_memory_bytes=peak,
            kept=is_good,
        )

    def _branch(self, call: Call, state: State) -> None:
        ours, theirs = make_line()
        _signal(state, signal.SIGCONT)
        with theirs:
            _order(state, life.BRANCH, [theirs.fileno()])
        try:
            self._keep(call.branch, ours, within_s=call.answer_s)
        except BaseException:
            ours.close()
            raise

    def _drop(self, number: int) -> None:
        state = self._states.pop(number, None)
        if state is not None:
            _signal(state, signal.SIGKILL)
            os.close(state.pidfd)
            state.control.close()

    def _hello(self, state: State, within_s: float) -> int:
        message, pid = self._next_word(state.control, within_s)
        if message != life.HELLO:
            raise Broken
        return pid

    def _next_word(self, control: socket.socket, within_s: float) -> tuple[bytes, int]:
        """Wait for a state to say something, once the parent has cancelled not for long.

        That it has is left on its line for who watches the cell.
        """
        ready = _readable(control, self._parent, within_s=within_s)
        if control not in ready and self._parent in ready:
            if not self._parent.recv(len(CANCEL), socket.MSG_PEEK):
                raise ParentGone
            ready = _readable(control, within_s=min(within_s, _CANCELLED_S))
        if control not in ready:
            raise Broken("no answer")
        return hear(control)

    def _running(self) -> list[int]:
        kept = {self._first, *self._pids()}
        return [pid for pid in self._enclosure.members() if pid not in kept]

    def _pids(self) -> list[int]:
        return [state.pid for state in self._states.values()]


def _readable(*lines: socket.socket, within_s: float) -> list[socket.socket]:
    poll = select.poll()
    for line in lines:
        poll.register(line, select.POLLIN)
    ready = {fd for fd, _ in poll.poll(within_s * 1000)}
    return [line for line in lines if line.fileno() in ready]


def _signal(state: State, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(state.pidfd, number)


def _order(state: State, order: bytes, fds: list[int]) -> None:
    try:
        socket.send_fds(state.control, [order], fds)
    except OSError as error:
        raise Broken(str(error)) from error
