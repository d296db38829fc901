"""The folder that a run leaves behind, and the names of what is in it."""

import datetime
import os
import tempfile
from pathlib import Path

from headway.errors import HeadwayError


class RunFolder:
    """Makes a new folder; raises ``HeadwayError`` where it cannot."""

    def __init__(self, path: Path | None, *, name: str) -> None:
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        self.path = path or Path("runs") / f"{name}-{stamp}"
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            raise HeadwayError(f"{self.path}: the run folder is there already; give another one") from None
        except OSError as error:
            raise HeadwayError(f"{self.path}: cannot make the run folder: {error.strerror}") from error
        self.events = self.path / "events.jsonl"
        self.rollouts = self.path / "rollouts.jsonl"
        self.config = self.path / "config.json"
        self.summary = self.path / "summary.json"
        self.checkpoint = self.path / "checkpoint"
        self.logs = self.path / "logs"


def transfer_folder(run: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder for weights on their way to the engines: in memory where the system has such a place."""
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() and os.access(memory, os.W_OK) else run
    return tempfile.TemporaryDirectory(prefix="headway-weights-", dir=where)
