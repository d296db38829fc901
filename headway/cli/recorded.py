"""What a run folder or a file of rollouts offers to those who look at it afterwards: records and a model."""

import json
from pathlib import Path

import msgspec

from headway.errors import InputError
from headway.scheduler import Chat

from .session import model_folder, quieten_transformers


class Recorded(msgspec.Struct, frozen=True):
    """A file of rollout records, and a folder of the model that wrote them, as far as is known."""

    rollouts: Path
    model: Path | None

    @classmethod
    def find(cls, source: Path, model: str | None) -> "Recorded":
        """Look at a run folder or a file; ``model`` goes before what the run says of itself."""
        if not source.exists():
            raise InputError(f"{source}: there is no such run folder or file of rollouts")
        if not source.is_dir():
            return cls(source, model_folder(model) if model else None)
        rollouts = source / "rollouts.jsonl"
        if not rollouts.is_file():
            raise InputError(f"{source}: no run folder; there is no rollouts.jsonl in it")
        return cls(rollouts, model_folder(model) if model else _model_of(source))

    def require_model(self) -> Path:
        """The model's folder; raises ``InputError`` where nobody said which."""
        if self.model is None:
            raise InputError(f"{self.rollouts}: give --model DIR, the model that wrote these rollouts")
        return self.model

    def chat(self) -> Chat:
        """The tokenizer, to turn tokens into text."""
        quieten_transformers()
        return Chat.load(self.require_model())


def _model_of(run: Path) -> Path | None:
    """The run's latest weights, or the model that it began with."""
    if (run / "model" / "config.json").is_file():
        return run / "model"
    try:
        return model_folder(str(json.loads((run / "config.json").read_text())["model"]))
    except (OSError, ValueError, KeyError):
        return None
