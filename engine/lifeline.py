"""Ends a process when the one that it works for has ended, however that happened.

Invariant: holds even when the watched process was killed with SIGKILL, since it is the watcher that acts.
The kernel's parent-death signal is no substitute: it fires when the parent's *thread* ends.
"""

import os
import select
import signal
import threading


def end_with(pid: int, *, group: bool) -> None:
    """SIGKILL this process once ``pid`` has ended; ``group``: with all others of its process group."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        _end(group)
        return
    thread = threading.Thread(target=_wait, args=(watched, group), name="lifeline", daemon=True)
    thread.start()


def _wait(watched: int, group: bool) -> None:
    select.select([watched], [], [])
    _end(group)


def _end(group: bool) -> None:
    if group:
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
