"""Runs the real command in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

COMMAND = [sys.executable, "-m", "headway"]
LIMIT_S = 600


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
