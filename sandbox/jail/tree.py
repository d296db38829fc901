"""Lists, times and ends the processes of one run, from outside them, through ``/proc``.

Knows nothing of why a run is watched.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = 1.0 / os.sysconf("SC_CLK_TCK")


def private_tree() -> list[int]:
    """Every process of this pid namespace, in which this process is the first, but itself."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]


def descendants() -> list[int]:
    """Every descendant of this process, where no pid namespace encloses them."""
    found: list[int] = []
    queue = [os.getpid()]
    for pid in queue:
        below = children(pid)
        found += below
        queue += below
    return found


def processor_time(pids: Iterable[int]) -> tuple[int, float]:
    """How many of the processes are there, and the seconds that they and those they waited for ran.

    Nothing is lost between looks: SIGCHLD cannot be ignored, so a process that ended is still there until
    another has taken its time over.
    """
    count, ticks = 0, 0
    for pid in pids:
        fields = _stat_fields(pid)
        if fields:
            count += 1
            ticks += sum(map(int, fields[11:15]))
    return count, ticks * _TICK


def collected_s(pid: int) -> float:
    """The seconds that the processes ran which a process has waited for."""
    fields = _stat_fields(pid) if pid else []
    return sum(map(int, fields[13:15])) * _TICK if fields else 0.0


def await_stopped(pids: Iterable[int], *, within_s: float = 10.0) -> None:
    """Wait until the processes that were sent SIGSTOP have stopped, or ended."""
    deadline = time.monotonic() + within_s
    for pid in pids:
        while (fields := _stat_fields(pid)) and fields[0] not in "TtZX" and time.monotonic() < deadline:
            os.sched_yield()


def end_descendants() -> None:
    """Kill and reap descendants until there are none; the caller is their subreaper."""
    while pids := descendants():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def end_others(members: Callable[[], list[int]], kept: set[int], *, within_s: float = 10.0) -> bool:
    """Kill all members but those to keep, until no other lives; False where they multiply faster."""
    deadline = time.monotonic() + within_s
    while pids := [pid for pid in members() if pid not in kept and _is_alive(pid)]:
        if time.monotonic() > deadline:
            return False
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return True


def cpu_s(pid: int) -> float:
    """The processor time of a process and of the children that it reaped; 0 once it is gone."""
    fields, fine_ns = _stat_fields(pid), 0
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                fine_ns += int(file.read().split()[0])
    coarse = sum(map(int, fields[11:15])) * _TICK if fields else 0.0
    return max(coarse, fine_ns / 1e9)


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever held, shared pages included; 0 once it is gone."""
    with (
        contextlib.suppress(OSError),
        open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file,
    ):
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


def wait_status(pid: int) -> int:
    """How a process ended that its parent has not reaped yet; SIGKILL where that is not known."""
    fields = _stat_fields(pid)
    return int(fields[49]) if fields and fields[0] == "Z" else signal.SIGKILL


def _is_alive(pid: int) -> bool:
    fields = _stat_fields(pid)
    return bool(fields) and fields[0] not in "ZX"


def data_bytes() -> int:
    """How much of RLIMIT_DATA this process uses already."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[5]) * _PAGE


def children(pid: int) -> list[int]:
    """The direct children of a process; empty once it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    return found


def _stat_fields(pid: int | str) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []
