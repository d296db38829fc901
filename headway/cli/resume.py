"""What an interrupted run has left, and how the run goes on from it.

Invariants: a rollout that finished is not run again, unless its trajectory failed by an engine or by the end
of the run; what a step was trained on is on disk before it is trained on, so that steps after the last
checkpoint are taken again from the very same rollouts; what says how good the policy is (evaluations,
screenings) is only taken from rollouts of the very same policy. Knows nothing of engines.
"""

import re
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import InputError
from headway.jsonl import cut_torn_line, shorten
from headway.scheduler import Rollout
from headway.trainer.checkpoint import read_packed
from headway.trainer.checkpoint_folder import latest
from headway.trainer.curriculum import Curriculum
from headway.trainer.loop_state import LoopState

from .recorded_groups import RecordedGroups
from .run_folder import RunFolder
from .summary import Summary
from .train_config import TrainConfig

_FIXED = ("model", "data", "grpo.seed", "grpo.prompts", "grpo.samples", "grpo.keep", "grpo.stages", "agent")
_HARMLESS = (
    "name",
    "log",
    "transcripts",
    "checkpoint_every",
    "keep_checkpoints",
    "policy",
    "engines.count",
    "engines.device",
    "engines.kv_tokens",
    "engines.block_size",
    "engines.max_num_seqs",
    "engines.gpu_memory_utilization",
    "engines.tensor_parallel_size",
    "engines.threads",
    "trainer",
    "grpo.steps",
    "grpo.collapse",
    "grpo.give_up_after",
    "evaluation.every",
)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What the run keeps in a checkpoint, besides the policy.

    ``unfinished``: rollouts that were live, from which their trajectories go on. ``metrics_bytes``,
    ``rollouts_bytes``: the lengths of these files (None: not written); ``rollouts_from``: no rollout that is
    still of use stands before that byte.
    """

    loop: LoopState
    unfinished: list[Rollout]
    summary: Summary
    metrics_bytes: int | None
    rollouts_bytes: int
    rollouts_from: int


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """From where a run goes on: its last checkpoint, and the rollouts since then, by group."""

    checkpoint: Path | None = None
    kept: Kept | None = None
    begun: RecordedGroups | None = None

    @classmethod
    def of(cls, folder: RunFolder, *, exactly: bool = True) -> "Resumed":
        """Read what there is, and cut off what was torn as the run ended; raises ``InputError``.

        Where the run does not go on ``exactly`` as it would have, it has another era from here on.
        """
        checkpoint = latest(folder.checkpoints)
        kept = read_packed(checkpoint, Kept) if checkpoint else None
        if not exactly:
            folder.begin_era()
        cut_torn_line(folder.rollouts)
        if kept is None or kept.metrics_bytes is not None:
            shorten(folder.metrics, (kept and kept.metrics_bytes) or 0)  # what came after comes once more
        begun = RecordedGroups(
            folder.rollouts,
            start=kept.rollouts_from if kept else 0,
            wanted=_Wanted(kept.loop if kept else None, folder.era),
            unfinished=kept.unfinished if kept else (),
        )
        return cls(checkpoint=checkpoint, kept=kept, begun=begun)

    def is_over(self, config: TrainConfig) -> bool:
        """Whether the run has come to its end, and nothing is left to do."""
        if self.kept is None or not self.kept.summary.complete:
            return False
        return Curriculum(config.grpo.plan, self.kept.loop.curriculum).stage is None


def require_same(config: TrainConfig, path: Path) -> dict[str, str]:
    """Return what has changed since a run began, by key; raises ``InputError`` for what must not."""
    try:
        before = msgspec.json.decode(path.read_bytes(), type=TrainConfig)
    except OSError as error:
        raise InputError(f"{path}: cannot read the run's configuration: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not the configuration of a run: {error}") from error
    changes = dict(_changes(msgspec.to_builtins(before), msgspec.to_builtins(config)))
    for key, text in changes.items():
        if _is_of(key, _FIXED):
            raise InputError(
                f"{path}: the run was begun with another {text}; resume it with the old value, or begin "
                f"another run from its weights in {path.parent / 'model'}"
            )
    return changes


def are_harmless(changes: dict[str, str]) -> bool:
    """Whether the policy of a run and its rollouts are what they would have been without the changes."""
    return all(_is_of(key, _HARMLESS) for key in changes)


def _is_of(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _changes(before: Any, now: Any, key: str = "") -> list[tuple[str, str]]:
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            change
            for name in {**before, **now}
            for change in _changes(before.get(name), now.get(name), f"{key}.{name}" if key else name)
        ]
    return [] if before == now else [(key, f"{key}: {before!r} -> {now!r}")]


class _Wanted:
    """Which groups come after a checkpoint: trained on (g), evaluated after a step (e), screened (s)."""

    def __init__(self, state: LoopState | None, era: str) -> None:
        self._state = state
        self._pending = {drawn.number for drawn in state.collector.pending} if state else set()
        self._name = re.compile(rf"(?:(g)|([es]){re.escape(era)})(\d+)(?:-\d+)?")

    def __call__(self, group: str) -> bool:
        name = self._name.fullmatch(group)
        if name is None or self._state is None:
            return name is not None
        kind, number = name[1] or name[2], int(name[3])
        if kind == "g":
            return number > self._state.collector.drawn or number in self._pending
        if kind == "e":
            return number > self._state.step
        stage = self._state.curriculum
        return number > stage.stage or (number == stage.stage and not stage.fully_solved)
