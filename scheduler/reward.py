"""The outcome reward of rStar2-Agent (arXiv 2508.20722): 1 for an answer equivalent to the truth, else 0.

No reward for format and no penalty for tools; a rollout that was cut off has no answer and gets 0.
"""

from typing import Protocol

from headway.sandbox import Sandbox, verify

from .agent import Outcome
from .task import Task


class Reward(Protocol):
    """Scores an outcome."""

    async def __call__(self, task: Task, outcome: Outcome) -> float | None:
        """Return the reward, or None for a task that cannot be scored."""
        ...


class AnswerReward:
    """Compares the final answer with the task's, in the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, task: Task, outcome: Outcome) -> float | None:
        """Return 1.0 or 0.0, or None for a task without an answer."""
        if task.answer is None:
            return None
        if outcome.answer is None:
            return 0.0
        return float(await verify(self._sandbox, outcome.answer, task.answer))
