"""Ends a run that trains nothing, and says why.

Invariant: a run whose last steps trained nothing, as many as the limit says, ends with an error that counts
the reasons. Knows nothing of how steps are made.
"""

from collections import Counter

import msgspec

from headway.errors import HeadwayError

from .collector import Rejections
from .step_report import StepReport

_REASONS = {
    "all_wrong": ("groups all wrong", "try easier tasks, a stronger model or more `samples`"),
    "all_right": ("groups all right", "try harder tasks or more `samples`"),
    "unscored": (
        "groups with fewer than `keep` rollouts scored",
        "tasks need an answer; see the failures in the rollouts",
    ),
    "too_old": ("groups older than `max_staleness` allows", 'allow more, or set `too_old = "reweight"`'),
    "skipped": ("updates not finite and so skipped", "try a lower `learning_rate`"),
}


class FruitlessState(msgspec.Struct, frozen=True, kw_only=True):
    """Steps in a row that trained nothing, and how often for which reason."""

    steps: int = 0
    reasons: dict[str, int] = {}


class FruitlessSteps:
    """Counts steps in a row that trained nothing; at ``limit`` of them it raises ``HeadwayError``."""

    def __init__(self, limit: int, state: FruitlessState | None = None) -> None:
        state = state or FruitlessState()
        self._limit = limit
        self._steps = state.steps
        self._reasons: Counter[str] = Counter(state.reasons)

    @property
    def state(self) -> FruitlessState:
        """From which another goes on alike."""
        return FruitlessState(steps=self._steps, reasons=dict(self._reasons))

    def note(self, rejections: Rejections, update: StepReport | None) -> None:
        """Take in a step: the groups that it rejected, and its update if it had one."""
        if update is not None and not update.skipped:
            self._steps = 0
            self._reasons.clear()
            return
        self._steps += 1
        self._reasons.update(msgspec.structs.asdict(rejections), skipped=int(update is not None))
        if self._steps >= self._limit:
            raise HeadwayError(self._explain())

    def _explain(self) -> str:
        steps = f"{self._steps} steps in a row" if self._steps > 1 else "the step"
        counts = [
            f"{said}: {self._reasons[name]} ({advice})"
            for name, (said, advice) in _REASONS.items()
            if self._reasons[name]
        ]
        return f"{steps} trained nothing: {'; '.join(counts)}"
