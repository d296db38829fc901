"""An evaluation as its file holds it: how it was made, its figures, and every task's counts."""

from pathlib import Path
from typing import Literal

import msgspec

from headway.errors import InputError

from .figures import Figures
from .task_score import TaskScore

METHOD = "95 %; unit: task; shares Wilson with effective sample size, means Student"


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What ``headway eval --json`` writes. ``settings``: whatever a comparison should find alike.

    ``complete``: no rollout is missing, as it would be after Ctrl-C.
    """

    schema: Literal["headway.evaluation"] = "headway.evaluation"
    version: Literal[1] = 1
    headway: str
    model: str
    tasks: str
    samples: int
    settings: dict[str, str]
    complete: bool
    seconds: float
    interval: str = METHOD
    figures: Figures
    scores: list[TaskScore]


def load_evaluation(path: Path) -> Evaluation:
    """Read a file; raises ``InputError`` where it is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Evaluation)
    except OSError as error:
        raise InputError(f"{path}: cannot read the evaluation: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not an evaluation, as `headway eval --json` writes: {error}") from error
