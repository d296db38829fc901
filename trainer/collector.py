"""Rolls out groups until enough of them teach something.

Invariants: a rejected group is replaced by another task's until the batch is full or the refill limit is
reached, and is counted by its reason; which rollouts are kept of a group depends on the seed and the group
alone, not on the order in which groups complete; however collecting ends, no group is left running.
Knows nothing of training.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from headway.errors import HeadwayError
from headway.scheduler import Group, Rollout, Scheduler, Task

from .grpo_config import GrpoConfig
from .roc import Rejection, rejection, select


class Rejections(msgspec.Struct, frozen=True, kw_only=True):
    """Groups that taught nothing, by reason (``roc.Rejection``)."""

    all_right: int = 0
    all_wrong: int = 0
    unscored: int = 0


@dataclass
class Collected:
    """Every group of a step, and the rollouts kept of those that teach something."""

    groups: list[Group] = field(default_factory=list)
    kept: list[list[Rollout]] = field(default_factory=list)
    rejected: Counter[Rejection] = field(default_factory=Counter)

    @property
    def rejections(self) -> Rejections:
        """The groups rejected, by reason."""
        return Rejections(**{str(reason): count for reason, count in self.rejected.items()})


class Collector:
    """Collects one batch after the other. ``on_group`` is told each group, and the usable ones so far."""

    def __init__(
        self,
        *,
        config: GrpoConfig,
        scheduler: Scheduler,
        tasks: Iterator[Task],
        on_group: Callable[[Group, int], None],
    ) -> None:
        self._config = config
        self._scheduler = scheduler
        self._tasks = tasks
        self._on_group = on_group

    async def collect(self) -> Collected:
        """Return a batch; raises ``HeadwayError`` at the first rollout that an engine failed."""
        config = self._config
        collected = Collected()
        left = int(config.prompts * config.refill)
        pending: set[asyncio.Task[Group]] = set()
        try:
            while True:
                while left and len(pending) + len(collected.kept) < config.prompts:
                    pending.add(self._scheduler.submit(next(self._tasks), samples=config.samples))
                    left -= 1
                if not pending:
                    return collected
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for finished in done:
                    self._take(finished.result(), collected)
        finally:
            for group in pending:
                group.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def _take(self, group: Group, collected: Collected) -> None:
        require_engines(group)
        collected.groups.append(group)
        reason = rejection(group.rollouts, self._config.keep)
        if reason is None:
            rng = random.Random(f"{self._config.seed} {group.rollouts[0].group} {group.task}")
            collected.kept.append(select(group.rollouts, self._config.keep, rng, self._config.roc))
        else:
            collected.rejected[reason] += 1
        self._on_group(group, len(collected.kept))


def require_engines(group: Group) -> None:
    """Stop the job where an engine failed: what it held is lost, and going on would only repeat it."""
    for rollout in group.rollouts:
        if rollout.failure and rollout.failure.boundary == "engine":
            raise HeadwayError(f"trajectory {rollout.id} failed: {rollout.failure.message}")
