"""Turns what a slot observed into a result: a pure function of the kernel's report and the limits.

Nothing that a snippet printed is looked at. Its one claim that counts is against itself: the runner's note of
an uncaught ``MemoryError``, honoured only with the exit status of an uncaught exception. A snippet can forge
that note exactly as far as it can write ``raise MemoryError``.
"""

import os
import signal

from .result import Limits, Result, Status, Tier
from .wire import Cause, Ending
from .worker import Answer

_STATUS = {
    Cause.WALL: Status.TIMEOUT,
    Cause.CPU: Status.CPU_LIMIT,
    Cause.MEMORY: Status.MEMORY_LIMIT,
    Cause.OUTPUT: Status.OUTPUT_LIMIT,
    Cause.PROCESSES: Status.KILLED,
    Cause.FAULT: Status.SANDBOX_ERROR,
    Cause.GONE: Status.EXPIRED,
    Cause.KILLED: Status.SANDBOX_ERROR,
}
_UNCAUGHT_EXCEPTION = 1


def judge(answer: Answer, limits: Limits, tier: Tier, attempt: int, *, replayed: int = 0) -> Result:
    """Return the result of a run that a slot saw to its end."""
    ending, stdout, stderr = answer
    code = os.waitstatus_to_exitcode(ending.wait_status)
    return Result(
        status=_STATUS.get(ending.cause) or _status_of_exit(code, ending, limits),
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        stdout=stdout.content.decode("utf-8", "replace"),
        stderr=stderr.content.decode("utf-8", "replace"),
        stdout_dropped=stdout.dropped,
        stderr_dropped=stderr.dropped,
        cpu_s=ending.cpu_s,
        wall_s=ending.wall_s,
        peak_memory_bytes=ending.peak_memory_bytes,
        tier=tier,
        attempt=attempt,
        replayed=replayed,
        kept=ending.kept,
    )


def lost(tier: Tier, attempt: int, reason: str = "") -> Result:
    """Return the result of a run whose worker went away."""
    return Result(status=Status.WORKER_LOST, tier=tier, attempt=attempt, stderr=reason)


def expired(tier: Tier) -> Result:
    """Return the result of a cell whose session is gone."""
    return Result(status=Status.EXPIRED, tier=tier)


def _status_of_exit(code: int, ending: Ending, limits: Limits) -> Status:
    if code == 0:
        return Status.OK
    if code == _UNCAUGHT_EXCEPTION and ending.memory_error:
        return Status.MEMORY_LIMIT
    if code > 0:
        return Status.ERROR
    if -code == signal.SIGXCPU or (-code == signal.SIGKILL and ending.cpu_s >= limits.cpu_s):
        return Status.CPU_LIMIT
    return Status.KILLED
