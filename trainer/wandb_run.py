"""Scalars as a Weights & Biases run, for those who have ``wandb`` installed and ask for it.

Where it goes is wandb's own affair: ``WANDB_MODE=offline`` keeps it in the run folder and needs no network,
``WANDB_PROJECT``, ``WANDB_ENTITY`` and the rest of its environment are heeded. Invariant: neither starting
nor ending waits for a network longer than a minute.
"""

import importlib
import importlib.util
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headway.errors import HeadwayError, InputError

_PATIENCE_S = 60


def require_wandb() -> None:
    """Raise ``InputError`` where wandb is not installed."""
    spec = importlib.util.find_spec("wandb")
    if (
        spec is None or spec.origin is None
    ):  # without an origin it is a mere folder, such as wandb itself leaves
        raise InputError("log: wandb is not installed; `pip install wandb`, or leave it out of `log`")


class WandbRun:
    """A run that is named after its folder, with what it was asked to do as its configuration."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        require_wandb()
        wandb: Any = importlib.import_module("wandb")
        try:
            self._run: Any = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "headway"),
                name=folder.name,
                id=_id(folder),
                resume="allow",
                dir=str(folder),
                config=dict(config),
                settings=wandb.Settings(
                    silent=True, console="off", init_timeout=_PATIENCE_S, finish_timeout=_PATIENCE_S
                ),
            )
        except Exception as error:
            raise HeadwayError(
                f"wandb cannot start a run: {error}; WANDB_MODE=offline needs neither network nor account"
            ) from error

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log the scalars of a step; wandb writes and sends them in a process of its own."""
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        """End the run, with what it has."""
        self._run.finish()


def _id(folder: Path) -> str:
    """The run's id, the same whenever the run goes on."""
    file = folder / "wandb-id"
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.write_text(secrets.token_hex(8))
        partial.replace(file)
    return file.read_text()
