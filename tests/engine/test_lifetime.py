"""However a program with a fleet ends, none of its processes outlives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(__file__).with_name("fleet_script.py")
PATIENCE_S = 240.0
GONE_S = 20.0

# How each program ends: the line that it is ended after, and the signal that ends it (none: an exception).
ENDINGS = {
    "killed while starting": ("PHASE loading the model", signal.SIGKILL),
    "ctrl-c": ("READY", signal.SIGINT),
    "terminated": ("READY", signal.SIGTERM),
    "killed": ("READY", signal.SIGKILL),
    "exception": ("READY", None),
}


class Program:
    def __init__(self, model: Path, ending: str) -> None:
        self.marker, self.signal = ENDINGS[ending]
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def reach_its_end(self) -> set[int]:
        """Wait for the last line, then end the program; gives the process groups of its engines."""
        assert self.process.stdout is not None
        if not any(line.strip() == self.marker for line in self.process.stdout):
            raise AssertionError(f"the program ended before it printed {self.marker!r}")
        engines = {child.pid for child in psutil.Process(self.process.pid).children()}
        if self.signal is not None:
            self.process.send_signal(self.signal)
        self.process.communicate("\n" if self.signal is None else None, timeout=PATIENCE_S)
        return {pid for pid in engines if pid != os.getpgrp()}


def members(groups: set[int]) -> list[int]:
    """The processes of some process groups."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) in groups and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


@pytest.fixture(scope="module")
def programs(tiny_model: Path) -> Iterator[dict[str, Program]]:
    """All programs at once: most of the time goes into starting their engines."""
    programs = {ending: Program(tiny_model, ending) for ending in ENDINGS}
    yield programs
    for program in programs.values():
        program.process.kill()
        program.process.communicate()


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_no_process_outlives_its_program(programs: dict[str, Program], ending: str) -> None:
    groups = programs[ending].reach_its_end()
    assert len(groups) == 1
    deadline = time.monotonic() + GONE_S
    while members(groups) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert members(groups) == []
