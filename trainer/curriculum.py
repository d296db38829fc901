"""Says which stage a run is in. Pure: the same steps give the same stages.

Invariants: stages come in their order, each with one step at least; a stage never takes more steps than it
has, and the last one goes on where it is given more. Knows nothing of tasks or rollouts.
"""

from collections.abc import Sequence

import msgspec

from .stage_config import EntryConfig, StageConfig


class CurriculumState(msgspec.Struct, frozen=True, kw_only=True):
    """The stage's number from 0, and for each step taken in it the share of groups that were all right."""

    stage: int = 0
    fully_solved: list[float] = []


class Curriculum:
    """Takes in steps; ``stage`` is that of the next one, None after the last."""

    def __init__(self, stages: Sequence[StageConfig], state: CurriculumState | None = None) -> None:
        state = state or CurriculumState()
        self._stages = list(stages)
        self._index = state.stage
        self._shares = list(state.fully_solved)

    @property
    def state(self) -> CurriculumState:
        """From which another goes on alike."""
        return CurriculumState(stage=self._index, fully_solved=list(self._shares))

    @property
    def index(self) -> int:
        """The stage's number, from 0."""
        return self._index

    @property
    def stage(self) -> StageConfig | None:
        """The stage that the next step belongs to."""
        stage = self._stages[self._index]
        return None if len(self._shares) >= stage.steps else stage

    @property
    def begins(self) -> bool:
        """Whether the next step is the first of its stage."""
        return not self._shares

    def note(self, fully_solved: float) -> None:
        """Take in a step, and the share of its groups in which every rollout was right."""
        self._shares.append(fully_solved)
        following = self._stages[self._index + 1 : self._index + 2]
        if following and (self.stage is None or _holds(following[0].enter, self._shares)):
            self._index += 1
            self._shares = []

    @property
    def left(self) -> int:
        """The steps that are left at most."""
        return sum(stage.steps for stage in self._stages[self._index :]) - len(self._shares)


def _holds(entry: EntryConfig, shares: Sequence[float]) -> bool:
    if entry.fully_solved is None or len(shares) < max(entry.after, entry.window):
        return False
    return sum(shares[-entry.window :]) / entry.window >= entry.fully_solved
