"""What an interrupted run has left, and how the run goes on from it.

Invariants: a rollout that finished is not run again, unless its trajectory failed by an engine or by the end
of the run; what a step was trained on is on disk before it is trained on, so that steps after the last
checkpoint are taken again from the very same rollouts. Knows nothing of engines.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import InputError
from headway.jsonl import cut_torn_line
from headway.scheduler import Rollout
from headway.trainer.checkpoint import read_extra
from headway.trainer.checkpoint_folder import latest
from headway.trainer.loop_state import LoopState

from .run_folder import RunFolder
from .summary import Summary
from .train_config import TrainConfig

_FIXED = ("model", "data", "grpo.seed", "grpo.prompts", "grpo.samples", "grpo.keep", "grpo.stages")
_AGAIN = ("cancelled", "engine")  # failures that were not the trajectory's own


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What the run keeps in a checkpoint, besides the policy; ``metrics_bytes``: the length of that file."""

    loop: LoopState
    summary: Summary
    metrics_bytes: int


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """From where a run goes on: its last checkpoint, and the rollouts since then, by group."""

    checkpoint: Path | None = None
    kept: Kept | None = None
    begun: dict[str, list[Rollout]] = {}

    @classmethod
    def of(cls, folder: RunFolder) -> "Resumed":
        """Read what there is, and cut off what was torn as the run ended; raises ``InputError``."""
        checkpoint = latest(folder.checkpoints)
        kept = _kept(checkpoint) if checkpoint else None
        cut_torn_line(folder.rollouts)
        if folder.metrics.exists():  # what came after the checkpoint comes once more
            with folder.metrics.open("rb+") as file:
                file.truncate(kept.metrics_bytes if kept else 0)
        return cls(
            checkpoint=checkpoint, kept=kept, begun=_begun(folder.rollouts, kept.loop if kept else None)
        )

    @property
    def finished(self) -> int:
        """The rollouts since the checkpoint that are not run again."""
        return sum(
            rollout.finish_reason != "unfinished" for rollouts in self.begun.values() for rollout in rollouts
        )


def require_same(config: TrainConfig, path: Path) -> list[str]:
    """Return what has changed since a run began, one text each; raises ``InputError`` for what must not."""
    try:
        before = msgspec.json.decode(path.read_bytes(), type=TrainConfig)
    except OSError as error:
        raise InputError(f"{path}: cannot read the run's configuration: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not the configuration of a run: {error}") from error
    changes = dict(_changes(msgspec.to_builtins(before), msgspec.to_builtins(config)))
    for key, text in changes.items():
        if any(key == fixed or key.startswith(f"{fixed}.") for fixed in _FIXED):
            raise InputError(f"{path}: the run was begun with another {text}; resume it with the old value")
    return list(changes.values())


def _changes(before: Any, now: Any, key: str = "") -> list[tuple[str, str]]:
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            change
            for name in {**before, **now}
            for change in _changes(before.get(name), now.get(name), f"{key}.{name}" if key else name)
        ]
    return [] if before == now else [(key, f"{key}: {before!r} -> {now!r}")]


def _kept(checkpoint: Path) -> Kept:
    try:
        return msgspec.convert(read_extra(checkpoint), Kept)
    except msgspec.ValidationError as error:
        raise InputError(
            f"{checkpoint}: not the checkpoint of a training run of this headway: {error}"
        ) from error


def _begun(rollouts: Path, state: LoopState | None) -> dict[str, list[Rollout]]:
    begun: dict[str, dict[str, Rollout]] = defaultdict(dict)
    for rollout in state.unfinished if state else []:
        begun[rollout.group][rollout.id] = rollout
    wanted = _Wanted(state)
    for rollout in _recorded(rollouts, wanted):
        if rollout.failure is None or rollout.failure.boundary not in _AGAIN:
            begun[rollout.group][rollout.id] = rollout
    return {group: list(by_id.values()) for group, by_id in begun.items()}


class _Wanted:
    """Which groups come after a checkpoint: trained on (g), evaluated after a step (e), screened (s)."""

    def __init__(self, state: LoopState | None) -> None:
        self._state = state
        self._pending = {drawn.number for drawn in state.collector.pending} if state else set()

    def __call__(self, group: str) -> bool:
        name = re.fullmatch(r"([ges])(\d+)(?:-\d+)?", group)
        if name is None or self._state is None:
            return name is not None
        number = int(name[2])
        match name[1]:
            case "g":
                return number > self._state.collector.drawn or number in self._pending
            case "e":
                return number > self._state.step
            case _:
                return number >= self._state.curriculum.stage


class _Named(msgspec.Struct):
    group: str


def _recorded(path: Path, wanted: _Wanted) -> Sequence[Rollout]:
    """The records of groups that are wanted; of the others no more than the name is read."""
    names, records = msgspec.json.Decoder(_Named), msgspec.json.Decoder(Rollout)
    if not path.exists():
        return []
    found = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                if wanted(names.decode(line).group):
                    found.append(records.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InputError(f"{path}:{number}: not a rollout record: {error}") from error
    return found
