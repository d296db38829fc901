"""What this process and everything below it has used: processor time, and its own peak memory.

Invariant: processor time is counted once, whether a process still lives (``/proc``) or was waited for (its
parent's children's time), so the difference of two readings is all that was spent between them, to within
two clock ticks (usually 10 ms each) for every process that lives.
"""

import os
import resource
from pathlib import Path

from ..jail.tree import descendants

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_RESET_PEAK = "5"


def cpu_s() -> float:
    """Processor seconds of this process, of its descendants, and of all whom they waited for."""
    own = sum(_rusage_s(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own + sum(map(_stat_s, descendants()))


def reset_peak_memory() -> None:
    """Let the peak be counted from here on; where the kernel cannot, it stays the peak since the start."""
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    except OSError:
        return


def peak_memory_bytes() -> int:
    """The largest resident size of this process since ``reset_peak_memory``."""
    return _status_bytes("VmHWM")


def memory_bytes() -> int:
    """The resident size of this process."""
    return _status_bytes("VmRSS")


def _status_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) << 10
    return 0


def _rusage_s(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def _stat_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # it ended; its parent's reading has its time
        return 0.0
    return sum(map(int, fields[11:15])) * _TICK_S
