"""Decides whether a model folder, and a file of new weights for it, can be used, before anything starts.

Invariant: ``ModelFolder.open`` either returns a folder that an engine can load or raises one ``InputError``
that says what is missing and where. Knows nothing of vLLM and loads no tensor.
"""

from pathlib import Path
from typing import Any

import msgspec

from headway.errors import InputError

from .safetensors_header import Shapes, tensor_shapes

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json")
TIED_HEAD = "lm_head.weight"


class ModelFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A model on disk: its longest context in tokens, and its tensors' names and shapes."""

    path: Path
    max_context: int
    tied: bool
    shapes: Shapes

    @classmethod
    def open(cls, path: Path) -> "ModelFolder":
        """Read what is needed of the folder; raises ``InputError`` where a part is missing."""
        path = path.expanduser().resolve()
        if not path.is_dir():
            raise InputError(
                f"model folder {path} does not exist; give a local folder in Hugging Face layout"
            )
        config = _read_config(path)
        if not any((path / name).is_file() for name in TOKENIZER_FILES):
            raise InputError(
                f"model folder {path} has no tokenizer (looked for {', '.join(TOKENIZER_FILES)}); "
                "save the tokenizer beside the model"
            )
        return cls(
            path=path,
            max_context=_max_context(config, path),
            tied=_is_tied(config),
            shapes=_read_shapes(path),
        )

    def check_weights(self, file: Path) -> None:
        """Raise ``InputError`` unless ``file`` holds just this model's tensors, each in its shape."""
        self.check_shapes(tensor_shapes(file), str(file))

    def check_shapes(self, shapes: Shapes, source: str) -> None:
        """Raise ``InputError``, which names the ``source``, unless these are just this model's tensors."""
        new, old = dict(shapes), dict(self.shapes)
        if self.tied:
            new.pop(TIED_HEAD, None)
            old.pop(TIED_HEAD, None)
        problems = [
            *_some("is missing", sorted(old.keys() - new.keys())),
            *_some("is not in the model", sorted(new.keys() - old.keys())),
            *_some(
                "has another shape",
                [f"{n} {new[n]} for {old[n]}" for n in old if n in new and new[n] != old[n]],
            ),
        ]
        if problems:
            raise InputError(
                f"{source}: does not fit the model {self.path}: {'; '.join(problems)}. "
                "Write all of the model's tensors under their Hugging Face names"
            )


def _read_config(path: Path) -> dict[str, Any]:
    file = path / "config.json"
    if not file.is_file():
        raise InputError(f"model folder {path} has no config.json; it is not a model in Hugging Face layout")
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{file}: cannot be read as a JSON object ({error})") from error


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    nested = config.get("text_config")
    return nested if isinstance(nested, dict) else config


def _is_tied(config: dict[str, Any]) -> bool:
    tied = config.get("tie_word_embeddings", _text_config(config).get("tie_word_embeddings", False))
    return bool(tied)


def _max_context(config: dict[str, Any], path: Path) -> int:
    text = _text_config(config)
    positions = text.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        raise InputError(
            f"{path / 'config.json'}: has no max_position_embeddings; add the model's context length"
        )
    return int(positions * _rope_stretch(text))


def _rope_stretch(text: dict[str, Any]) -> float:
    """How far YaRN stretches the positions, where the config gives the unstretched length."""
    rope = text.get("rope_scaling") or text.get("rope_parameters") or {}
    if rope.get("rope_type", rope.get("type")) != "yarn":
        return 1.0
    positions = float(text["max_position_embeddings"])
    original = float(rope.get("original_max_position_embeddings", positions))
    return max(1.0, float(rope.get("factor", 1.0)) * original / positions)


def _read_shapes(path: Path) -> Shapes:
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise InputError(f"model folder {path} has no *.safetensors weights; save the model as safetensors")
    shapes: Shapes = {}
    for file in files:
        shapes |= tensor_shapes(file)
    return shapes


def _some(what: str, names: list[str], most: int = 3) -> list[str]:
    """At most ``most`` of ``names`` with what is wrong with each, and how many more there are."""
    listed = [f"{name} {what}" for name in names[:most]]
    return [*listed, f"and {len(names) - most} more"] if len(names) > most else listed
