"""What an agent is: a coroutine that drives one episode to an outcome.

An agent is the user's own code. It awaits ``episode.generate()`` and ``episode.call(tool, …)``; tool waits of
different trajectories interleave because they are awaits. What it raises fails its own trajectory only.
"""

from typing import Protocol

import msgspec

from .episode import Episode
from .rollout import FinishReason


class Outcome(msgspec.Struct, frozen=True):
    """How an episode ended, the model's final answer if it gave one, and how often it marked one."""

    finish_reason: FinishReason
    answer: str | None = None
    answer_tags: int = 0


class Agent(Protocol):
    """Drives one episode."""

    async def __call__(self, episode: Episode) -> Outcome:
        """Run the episode to its end."""
        ...
