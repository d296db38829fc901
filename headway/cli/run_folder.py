"""The folder that a run leaves behind, and the names of what is in it."""

import datetime
import os
import shutil
import tempfile
from pathlib import Path

from headway.errors import HeadwayError

_MEMORY = Path("/dev/shm")


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
        self.transcripts = self.path / "transcripts"


def transfer_folder(run: Path, model: Path, *, memory: Path = _MEMORY) -> tempfile.TemporaryDirectory[str]:
    """A folder for weights on their way to the engines: in ``memory`` where they fit, else in the run folder.

    The trainer writes float32, at most twice what the model's own files hold.
    """
    needed = 2 * sum(file.stat().st_size for file in model.glob("*.safetensors"))
    fits = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= needed
    return tempfile.TemporaryDirectory(prefix="headway-weights-", dir=memory if fits else run)
