"""Runs the real command in a process of its own."""

import contextlib
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

COMMAND = [sys.executable, "-m", "headway"]
LIMIT_S = 600
GONE_S = 60
PR_SET_CHILD_SUBREAPER = 36


def headway(*arguments: str | Path, cwd: Path, timeout: float = LIMIT_S) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "COLUMNS": "200"},
        check=False,
    )


def spawn(arguments: Sequence[str | Path], *, cwd: Path, limit: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start it as the leader of a process group of its own, as a terminal would."""
    return subprocess.Popen(
        [*limit, *COMMAND, *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


@contextlib.contextmanager
def no_process_left() -> Iterator[None]:
    """Fail if any process that the body started, at whatever remove, is still there after it.

    Orphans are handed to this process, so none can hide behind a parent that has ended.
    """
    before = set(psutil.Process().children(recursive=True))
    _adopt_orphans(True)
    try:
        yield
        deadline = time.monotonic() + GONE_S
        while (left := _alive() - before) and time.monotonic() < deadline:
            psutil.wait_procs(left, timeout=1.0)
        assert not left, [process.as_dict(["pid", "name", "cmdline"]) for process in left]
    finally:
        _adopt_orphans(False)


def _adopt_orphans(adopt: bool) -> None:
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0) == 0


def _alive() -> set[psutil.Process]:
    alive = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                alive.add(process)
    return alive
