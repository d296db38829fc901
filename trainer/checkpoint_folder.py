"""A folder of checkpoints, named by the step after which they were written.

What is under such a name is whole: ``checkpoint.py`` sees to it. Knows nothing of what is in them.
"""

import re
import shutil
from pathlib import Path

_NAME = re.compile(r"step-(\d+)")


def checkpoint_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step belongs."""
    return folder / f"step-{step:06}"


def latest(folder: Path) -> Path | None:
    """The checkpoint of the highest step; None where there is none."""
    return max(_checkpoints(folder), key=_step, default=None)


def keep_last(folder: Path, count: int) -> None:
    """Delete all but the last ``count`` checkpoints, of which there must be one at least."""
    if count < 1:
        raise ValueError(f"cannot keep {count} checkpoints")
    for checkpoint in sorted(_checkpoints(folder), key=_step)[:-count]:
        checkpoint.rename(checkpoint.with_name(f"{checkpoint.name}.partial"))  # none under its name is torn
    for rest in folder.glob("step-*.partial"):
        shutil.rmtree(rest, ignore_errors=True)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob("step-*") if path.is_dir() and _NAME.fullmatch(path.name)]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))
