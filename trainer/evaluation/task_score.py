"""What the rollouts of each task came to: counts that add up, and nothing that needs the rollouts again.

Invariant: rollouts without a reward (the system failed, or the task has no answer) are counted as
``unscored`` and in nothing else.
"""

from collections.abc import Iterable

import msgspec

from headway.scheduler import Rollout

_CUT_OFF = ("length", "context", "max_turns")


class TaskScore(msgspec.Struct, kw_only=True):
    """One task: ``n`` scored rollouts, ``correct`` of them with a positive reward."""

    id: str
    n: int = 0
    correct: int = 0
    unscored: int = 0
    response_tokens: int = 0
    turns: int = 0
    truncated: int = 0
    calls: int = 0
    failed_calls: int = 0
    calls_in_correct: int = 0
    failed_calls_in_correct: int = 0

    def add(self, rollout: Rollout) -> None:
        """Count one rollout."""
        if rollout.reward is None:
            self.unscored += 1
            return
        calls, failed = len(rollout.tool_calls), sum(call.failed for call in rollout.tool_calls)
        self.n += 1
        self.response_tokens += rollout.generated
        self.turns += len(rollout.turns)
        self.truncated += rollout.finish_reason in _CUT_OFF
        self.calls += calls
        self.failed_calls += failed
        if rollout.reward > 0:
            self.correct += 1
            self.calls_in_correct += calls
            self.failed_calls_in_correct += failed


def score_tasks(rollouts: Iterable[Rollout]) -> list[TaskScore]:
    """Return every task's score, in the order of their ids."""
    scores: dict[str, TaskScore] = {}
    for rollout in rollouts:
        scores.setdefault(rollout.task, TaskScore(id=rollout.task)).add(rollout)
    return [scores[id] for id in sorted(scores)]
