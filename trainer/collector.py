"""Rolls out groups until enough of them teach something, and ahead of training where it may.

Invariants: a rejected group is replaced by another task's until the batch is full or the refill limit is
reached, and is counted by its reason; a group is part of one batch, once; which rollouts are kept of a group
depends on the seed and the group alone, and the order in a batch on its groups alone, not on the order in
which they complete. Knows nothing of training.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from headway.errors import HeadwayError
from headway.scheduler import Agent, Group, Rollout, Scheduler, Task

from .capacity import capacity
from .grpo_config import GrpoConfig
from .roc import Rejection, rejection, select
from .task_cursor import TaskCursor


class Rejections(msgspec.Struct, frozen=True, kw_only=True):
    """Groups that taught nothing, by reason (``roc.Rejection``)."""

    all_right: int = 0
    all_wrong: int = 0
    unscored: int = 0
    too_old: int = 0


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was drawn to train on, the ``number``-th of the run."""

    number: int
    task: Task


class CollectorState(msgspec.Struct, frozen=True, kw_only=True):
    """What a collector must know to go on: where it draws from next, and what it has drawn but not given out.

    ``allowance``: groups that may still start for the batch that is collected.
    """

    drawn: int = 0
    position: int = 0
    left_out: list[str] = []
    pending: list[Drawn] = []
    allowance: int | None = None


@dataclass
class Collected:
    """Every group of a step, and the rollouts kept of those that teach something.

    ``reweighted`` groups are older than the staleness allows, and are trained on all the same.
    """

    groups: list[Group] = field(default_factory=list)
    kept: list[list[Rollout]] = field(default_factory=list)
    rejected: Counter[Rejection] = field(default_factory=Counter)
    reweighted: int = 0

    @property
    def rejections(self) -> Rejections:
        """The groups rejected, by reason."""
        return Rejections(**{str(reason): count for reason, count in self.rejected.items()})


@dataclass(frozen=True)
class _Usable:
    drawn: Drawn
    group: Group
    kept: list[Rollout]
    oldest: int  # version of a token


class Collector:
    """Collects one batch after the other. ``on_group`` is told each group, and the usable ones so far.

    ``agent`` is that of the groups which start from now on (None: the scheduler's own).
    """

    def __init__(
        self,
        *,
        config: GrpoConfig,
        scheduler: Scheduler,
        tasks: TaskCursor,
        on_group: Callable[[Group, int], None],
        state: CollectorState | None = None,
    ) -> None:
        state = state or CollectorState()
        tasks.move(state.position)
        tasks.leave_out(state.left_out)
        self.agent: Agent | None = None
        self._config = config
        self._scheduler = scheduler
        self._tasks = tasks
        self._on_group = on_group
        self._drawn = state.drawn
        self._again = list(state.pending)  # begun by an earlier run
        self._allowance = self._most if state.allowance is None else state.allowance
        self._version = 0
        self._training = True  # nothing starts before the first batch is asked for
        self._running: dict[asyncio.Task[Group], Drawn] = {}
        self._usable: list[_Usable] = []
        self._batch = Collected()
        self._rejected: list[Drawn] = []  # of this batch
        self._batches_left = config.max_staleness
        self._changed = asyncio.Event()
        self._error: BaseException | None = None

    @property
    def state(self) -> CollectorState:
        """From which another goes on alike."""
        pending = [
            *self._again,
            *self._running.values(),
            *(usable.drawn for usable in self._usable),
            *self._rejected,
        ]
        return CollectorState(
            drawn=self._drawn,
            position=self._tasks.position,
            left_out=self._tasks.left_out,
            pending=sorted(pending, key=lambda drawn: drawn.number),
            allowance=self._allowance,
        )

    async def collect(self, version: int, *, left: int | None = None) -> Collected:
        """Return a batch to train on weights of ``version``; ``left`` are at most still to come after it.

        Raises ``HeadwayError`` at the first rollout that an engine failed.
        """
        self._version, self._training = version, False
        self._batches_left = self._config.max_staleness if left is None else left
        while True:
            self._set_aside_the_too_old()
            self._fill()
            if self._error is not None:
                raise self._error
            if len(self._usable) >= self._config.prompts or not self._running:
                return self._hand_over()
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """End whatever still runs."""
        self._error = self._error or asyncio.CancelledError()
        running = list(self._running)
        for group in running:
            group.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    @property
    def _most(self) -> int:
        """The groups that may start for all batches that are on their way."""
        return int(self._config.prompts * self._config.refill) * (1 + self._config.max_staleness)

    def _fill(self) -> None:
        """Start as many groups as may be on their way."""
        room = capacity(
            prompts=self._config.prompts,
            max_staleness=min(self._config.max_staleness, self._batches_left),
            training=self._training,
            held=len(self._running) + len(self._usable),
        )
        while room and self._error is None and (self._again or self._allowance):
            self._start(self._next())
            room -= 1

    def _next(self) -> Drawn:
        if self._again:
            return self._again.pop(0)
        self._allowance -= 1
        self._drawn += 1
        return Drawn(number=self._drawn, task=self._tasks.draw())

    def _start(self, drawn: Drawn) -> None:
        running = self._scheduler.submit(
            drawn.task, samples=self._config.samples, name=f"g{drawn.number}", agent=self.agent
        )
        self._running[running] = drawn
        running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[Group]) -> None:
        """Take in a group as it completes, also while training goes on."""
        drawn = self._running.pop(running)
        try:
            try:
                self._take(drawn, running.result())
            except BaseException:
                self._again.append(drawn)
                raise
            self._fill()
        except (Exception, asyncio.CancelledError) as error:
            self._error = self._error or error
        self._changed.set()

    def _take(self, drawn: Drawn, group: Group) -> None:
        require_engines(group)
        reason = rejection(group.rollouts, self._config.keep)
        if reason is None:
            rng = random.Random(f"{self._config.seed} {drawn.number} {group.task}")
            kept = select(group.rollouts, self._config.keep, rng, self._config.roc)
            self._usable.append(_Usable(drawn, group, kept, _oldest(kept, self._version)))
        else:
            self._reject(drawn, group, reason)
        self._on_group(group, len(self._usable))

    def _reject(self, drawn: Drawn, group: Group, reason: Rejection) -> None:
        self._rejected.append(drawn)
        self._batch.groups.append(group)
        self._batch.rejected[reason] += 1

    def _set_aside_the_too_old(self) -> None:
        """Reject what is older than the staleness allows, where that is the rule."""
        if self._config.too_old == "refuse":
            for usable in [usable for usable in self._usable if self._is_too_old(usable)]:
                self._usable.remove(usable)
                self._reject(usable.drawn, usable.group, Rejection.TOO_OLD)

    def _is_too_old(self, usable: _Usable) -> bool:
        return self._version - usable.oldest > self._config.max_staleness

    def _hand_over(self) -> Collected:
        """Give out the groups that completed first."""
        batch, self._batch, self._rejected = self._batch, Collected(), []
        given = sorted(self._usable[: self._config.prompts], key=lambda usable: usable.drawn.number)
        del self._usable[: self._config.prompts]
        batch.groups += [usable.group for usable in given]
        batch.kept = [usable.kept for usable in given]
        batch.reweighted = sum(map(self._is_too_old, given))
        self._allowance = min(self._allowance + int(self._config.prompts * self._config.refill), self._most)
        self._training = True
        self._fill()
        return batch


def _oldest(rollouts: Sequence[Rollout], current: int) -> int:
    """The lowest version of the weights that a token was sampled by; ``current`` where there is none."""
    return min(
        (
            version
            for rollout in rollouts
            for version, written in zip(rollout.versions, rollout.mask, strict=True)
            if written
        ),
        default=current,
    )


def require_engines(group: Group) -> None:
    """Stop the job where an engine failed: what it held is lost, and going on would only repeat it."""
    for rollout in group.rollouts:
        if rollout.failure and rollout.failure.boundary == "engine":
            raise HeadwayError(f"trajectory {rollout.id} failed: {rollout.failure.message}")
