"""One training run as its folder tells it: what it was, and every figure of every step.

Invariants: a last line that is being written is left out; a step that was measured twice counts as it was
measured last. Knows nothing of other runs.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import InputError

Curve = dict[int, float]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """``curves`` are by metric, named as in tensorboard (``eval/measures/pass_at_1``), then by step.

    ``settings`` are those that a seed does not change, ``complete`` is false for a run that goes on or was
    ended early.
    """

    folder: str
    variant: str
    seed: int
    complete: bool
    settings: dict[str, str]
    curves: dict[str, Curve]


def read_run(folder: Path) -> Run:
    """Read a run folder; raises ``InputError`` for what is none."""
    metrics = folder / "metrics.jsonl"
    if not metrics.is_file():
        raise InputError(
            f"{folder}: no run folder of a training; there is no metrics.jsonl in it "
            '(a run writes it unless its `log` lacks "jsonl")'
        )
    config = _object(folder / "config.json")
    settings = {name: str(value) for name, value in _flat(config, ".")}
    try:
        variant, seed = settings.pop("name"), int(settings.pop("grpo.seed"))
    except (KeyError, ValueError) as error:
        raise InputError(f"{folder / 'config.json'}: no training's; it lacks name or grpo.seed") from error
    summary = folder / "summary.json"
    return Run(
        folder=str(folder),
        variant=variant,
        seed=seed,
        complete=summary.is_file() and bool(_object(summary).get("complete")),
        settings=settings,
        curves=_curves(metrics),
    )


def _curves(path: Path) -> dict[str, Curve]:
    curves: dict[str, Curve] = defaultdict(dict)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                break
            try:
                record = msgspec.json.decode(line, type=dict[str, Any])
                kind, step = str(record.pop("kind")), int(record.pop("step"))
            except (msgspec.DecodeError, KeyError, ValueError, TypeError) as error:
                raise InputError(f"{path}:{number}: not a line of metrics: {error!r}") from error
            for name, value in _flat(record, "/"):
                if isinstance(value, int | float):
                    curves[f"{kind}/{name}"][step] = float(value)
    return dict(curves)


def _object(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: cannot be read as a run's: {error}") from error


def _flat(nested: Mapping[str, Any], joint: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in nested.items():
        if isinstance(value, dict):
            yield from _flat(value, joint, f"{prefix}{name}{joint}")
        else:
            yield prefix + name, value
