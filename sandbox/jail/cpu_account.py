"""Adds up the processor time of a run's processes, those included whose parents do not wait for them.

While a process lives its time is in its own account, and once its parent has waited for it in that one's
account of collected children; if nobody waits (SIGCHLD ignored) it vanishes. So what was seen of a process
that is gone counts as far as no survivor collected it, and an interval in which processes came and went
unseen counts in full, as if one of them had run all the time.

Invariant: the total never falls. Knows nothing of limits.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Times(NamedTuple):
    """Seconds of one process: its own, and those of the children that it waited for."""

    own_s: float
    collected_s: float


class CpuAccount:
    """The account of one run. A process is known by its number and the time of its start."""

    def __init__(self, now: float, last_pid: int) -> None:
        self.total_s = 0.0
        self._seen: Mapping[tuple[int, int], Times] = {}
        self._last_pid = last_pid
        self._last_look = now

    def update(self, times: Mapping[tuple[int, int], Times], now: float, last_pid: int) -> None:
        """Take the times of the processes that live now; ``last_pid`` is the number of the youngest ever."""
        grown = collected = 0.0
        for process, new in times.items():
            old = self._seen.get(process, Times(0.0, 0.0))
            grown += new.own_s - old.own_s + new.collected_s - old.collected_s
            collected += new.collected_s - old.collected_s
        vanished = sum(sum(old) for process, old in self._seen.items() if process not in times)
        spent = grown - min(vanished, collected)
        newcomers = sum(process not in self._seen for process in times)
        if last_pid - self._last_pid > newcomers:
            spent = max(spent, now - self._last_look)
        self.total_s += max(0.0, spent)
        self._seen, self._last_pid, self._last_look = times, last_pid, now
