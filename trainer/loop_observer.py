"""What the training loop tells of itself, and who is told."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from headway.scheduler import Group, Rollout

from .batch import Sample
from .collapse import Alarm
from .collector import Rejections
from .loop_state import LoopState
from .measures import RolloutMeasures
from .step_report import StepReport


class GrpoStep(msgspec.Struct, frozen=True, kw_only=True):
    """What one step saw and did: groups rolled out, those rejected, and ``kept`` rollouts trained on.

    ``trained``: the names of the groups that they are of. ``reweighted``: groups among them that were older
    than the staleness allows. ``update`` is None where no group was usable; the engines take on the version
    all the same. Of rollouts that ran ahead, ``rollout_s`` is only what the step had to wait.
    """

    step: int
    stage: str = "train"
    groups: int
    rejected: int
    rejections: Rejections
    kept: int
    trained: list[str] = []
    reweighted: int = 0
    weight_version: int
    rollout_s: float
    train_s: float
    sync_s: float
    measures: RolloutMeasures
    update: StepReport | None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Held-out results after ``step`` steps, of ``n`` rollouts."""

    step: int
    n: int
    seconds: float
    measures: RolloutMeasures


class StageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A stage begins after ``step`` steps, with ``tasks`` tasks left of those that there are.

    None where their number has no end. ``screened``: those that were tried to find out.
    """

    step: int
    stage: str
    tasks: int | None
    left_out: int = 0
    screened: int = 0


class Observer(Protocol):
    """Is told how the loop gets on."""

    def on_stage(self, entry: StageEntry) -> None:
        """Take in that a stage begins."""
        ...

    def on_group(self, phase: str, group: Group, done: int, wanted: int) -> None:
        """Take in that a group is complete: ``done`` usable ones of those ``wanted``."""
        ...

    def on_batch(self, step: int, rollouts: Sequence[Rollout], samples: Sequence[Sample]) -> None:
        """Take in a step's rollouts, and which of them it trains on, before it does."""
        ...

    def on_step(self, step: GrpoStep) -> None:
        """Take in that a step is over."""
        ...

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Take in that an evaluation is over."""
        ...

    def on_alarm(self, alarm: Alarm) -> None:
        """Take in a sign of collapse."""
        ...

    async def on_state(self, step: int, state: LoopState) -> None:
        """Take in that nothing of a step is left to do, and the state from which the next can begin."""
        ...
