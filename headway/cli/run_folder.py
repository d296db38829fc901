"""The folder that a run leaves behind, and the names of what is in it."""

import datetime
import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path

import psutil

from headway.errors import HeadwayError

_MEMORY = Path("/dev/shm")


class RunFolder:
    """Makes a new folder, or with ``resume`` opens the one that is there; raises ``HeadwayError``.

    Of a run that is resumed, each attempt has an event log and engine logs of its own. No two processes have
    the same folder open.
    """

    def __init__(self, path: Path | None, *, name: str, resume: bool = False) -> None:
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        self.path = path or Path("runs") / f"{name}-{stamp}"
        try:
            self.path.mkdir(parents=True, exist_ok=resume)
        except FileExistsError:
            if not self.path.is_dir():
                raise HeadwayError(f"{self.path}: is a file; give the name of a folder") from None
            raise HeadwayError(
                f"{self.path}: the run folder is there already; give another one, or --resume auto to go on"
            ) from None
        except OSError as error:
            raise HeadwayError(f"{self.path}: cannot make the run folder: {error.strerror}") from error
        self._lock = _lock(self.path)
        self.rollouts = self.path / "rollouts.jsonl"
        self.config = self.path / "config.json"
        self.summary = self.path / "summary.json"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model"
        self.transcripts = self.path / "transcripts"
        self._era = self.path / "era"
        self.attempt = 1 + max((_attempt(log) for log in self.path.glob("events*.jsonl")), default=0)
        which = f"-{self.attempt}" if self.attempt > 1 else ""
        self.events = self.path / f"events{which}.jsonl"
        self.logs = self.path / f"logs{which}"

    def release(self) -> None:
        """Let another process, or another run in this one, have the folder."""
        os.close(self._lock)

    @property
    def era(self) -> str:
        """How the groups are named that only this policy's rollouts count for; see ``GrpoLoop``."""
        return self._era.read_text() if self._era.exists() else ""

    def begin_era(self) -> None:
        """Have another era from here on, since the run goes another way than it would have."""
        partial = self._era.with_suffix(".partial")
        partial.write_text(f"r{self.attempt}-")
        partial.replace(self._era)

    @property
    def is_new(self) -> bool:
        """Whether no run has begun in it."""
        return not self.config.exists()


def _attempt(events: Path) -> int:
    number = re.fullmatch(r"events(?:-(\d+))?", events.stem)
    return int(number[1] or 1) if number else 0


def _lock(folder: Path) -> int:
    """Hold a folder, at most until the process ends, however it does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise HeadwayError(f"{folder}: cannot lock the run folder: {error.strerror}") from error
        raise HeadwayError(f"{folder}: another process has this run open; end it first") from None
    return descriptor


def transfer_folder(run: Path, model: Path, *, memory: Path = _MEMORY) -> tempfile.TemporaryDirectory[str]:
    """A folder for weights on their way to the engines: in ``memory`` where they fit, else in the run folder.

    The trainer writes float32, at most twice what the model's own files hold. What processes that were
    killed have left there is removed.
    """
    for left in memory.glob("headway-weights-*"):
        if (pid := left.name.split("-")[2]).isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    needed = 2 * sum(file.stat().st_size for file in model.glob("*.safetensors"))
    fits = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= needed
    return tempfile.TemporaryDirectory(prefix=f"headway-weights-{os.getpid()}-", dir=memory if fits else run)
