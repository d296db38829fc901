"""The GRPO-RoC loop: roll out groups, keep G of 2G, take one optimiser step, update the live engines.

Invariants: synchronous, so every token of a step is sampled by the weights of the last one; a rejected group
is replaced by another task's until the batch is full or the refill limit is reached, and never dropped in
silence; what a step saw is told to the observer once.
Knows nothing of engines, terminals or files other than the weights that it hands over.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from headway.errors import HeadwayError
from headway.scheduler import Group, Rollout, Scheduler, Task
from headway.scheduler.events import EventSink, Phase, PhaseChanged, now_ns

from .batch import Sample
from .measures import RolloutMeasures, measure
from .policy_model import OptimizerConfig, PolicyModel, StepReport
from .roc import RocConfig, advantages, select


class GrpoConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step: ``prompts`` tasks of ``samples`` rollouts each, of which ``keep`` are trained on.

    ``refill`` bounds the groups started in a step, as a multiple of ``prompts``.
    """

    steps: int = 30
    prompts: int = 12
    samples: int = 12
    keep: int = 6
    refill: float = 2.0
    advantage_epsilon: float = 1e-4
    seed: int = 0
    roc: RocConfig = RocConfig()
    optimizer: OptimizerConfig = OptimizerConfig()

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("prompts", 1), ("samples", 2), ("keep", 2), ("refill", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}")
        if self.keep > self.samples:
            raise ValueError(f"`keep` ({self.keep}) cannot be more than `samples` ({self.samples})")


class EvalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``samples`` rollouts of each of ``tasks`` held-out tasks, before, after and ``every`` so many steps."""

    tasks: int = 256
    samples: int = 1
    every: int = 0


class GrpoStep(msgspec.Struct, frozen=True, kw_only=True):
    """What one step saw and did: groups rolled out, those rejected, and ``kept`` rollouts trained on."""

    step: int
    groups: int
    rejected: int
    kept: int
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


class Observer(Protocol):
    """Is told how the loop gets on."""

    def on_group(self, phase: str, group: Group, done: int, wanted: int) -> None:
        """Take in that a group is complete: ``done`` usable ones of those ``wanted``."""
        ...

    def on_step(self, step: GrpoStep) -> None:
        """Take in that a step is over."""
        ...

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Take in that an evaluation is over."""
        ...


class GrpoLoop:
    """Runs the steps. ``weights`` is a folder, best in memory, through which weights pass to the engines."""

    def __init__(
        self,
        *,
        config: GrpoConfig,
        evaluation: EvalConfig,
        scheduler: Scheduler,
        model: PolicyModel,
        train: Iterator[Task],
        held_out: Sequence[Task],
        weights: Path,
        sink: EventSink,
        observer: Observer,
    ) -> None:
        self._config = config
        self._evaluation = evaluation
        self._scheduler = scheduler
        self._model = model
        self._train = train
        self._held_out = list(held_out)[: evaluation.tasks]
        self._weights = weights
        self._sink = sink
        self._observer = observer
        self._rng = random.Random(config.seed)
        self._version = 0

    async def run(self) -> None:
        """Evaluate, take every step, evaluate."""
        await self._evaluate(0)
        for step in range(1, self._config.steps + 1):
            self._observer.on_step(await self._step(step))
            every = self._evaluation.every
            if step == self._config.steps or (every and step % every == 0):
                await self._evaluate(step)
        self._enter("idle", self._config.steps)

    async def _step(self, step: int) -> GrpoStep:
        started = time.perf_counter()
        self._enter("rollout", step)
        groups, chosen = await self._collect()
        rolled_out = time.perf_counter()
        self._enter("training", step)
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        _require_some_scored(rollouts)
        measures = measure(rollouts, version=self._version)
        samples = [sample for kept in chosen for sample in self._with_advantages(kept)]
        update = await asyncio.to_thread(self._model.step, samples) if samples else None
        trained = time.perf_counter()
        await self._synchronise()
        return GrpoStep(
            step=step,
            groups=len(groups),
            rejected=len(groups) - len(chosen),
            kept=len(samples),
            weight_version=self._version,
            rollout_s=rolled_out - started,
            train_s=trained - rolled_out,
            sync_s=time.perf_counter() - trained,
            measures=measures,
            update=update,
        )

    async def _collect(self) -> tuple[list[Group], list[list[Rollout]]]:
        """Roll out groups until enough are usable or the refill limit is reached."""
        config = self._config
        groups: list[Group] = []
        chosen: list[list[Rollout]] = []
        left = int(config.prompts * config.refill)
        pending: set[asyncio.Task[Group]] = set()
        try:
            while True:
                while left and len(pending) + len(chosen) < config.prompts:
                    pending.add(self._scheduler.submit(next(self._train), samples=config.samples))
                    left -= 1
                if not pending:
                    return groups, chosen
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for finished in done:
                    group = finished.result()
                    _require_engines(group)
                    groups.append(group)
                    rollouts = select(group.rollouts, config.keep, self._rng, config.roc)
                    if rollouts is not None:
                        chosen.append(rollouts)
                    self._observer.on_group("rollout", group, len(chosen), config.prompts)
        finally:
            for group_task in pending:
                group_task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def _with_advantages(self, rollouts: Sequence[Rollout]) -> list[Sample]:
        rewards = [float(rollout.reward or 0.0) for rollout in rollouts]
        values = advantages(rewards, self._config.advantage_epsilon)
        return [Sample(rollout, value) for rollout, value in zip(rollouts, values, strict=True)]

    async def _synchronise(self) -> None:
        """Hand the model's weights to every engine as the next version."""
        self._version += 1
        file = self._weights / f"weights-{self._version}.safetensors"
        try:
            await asyncio.to_thread(self._model.write_weights, file)
            await self._scheduler.update_weights(file, self._version)
        finally:
            file.unlink(missing_ok=True)

    async def _evaluate(self, step: int) -> None:
        if not self._held_out:
            return
        self._enter("evaluation", step)
        started = time.perf_counter()
        rollouts: list[Rollout] = []
        done = 0
        async for group in self._scheduler.stream(self._held_out, samples=self._evaluation.samples):
            _require_engines(group)
            rollouts += group.rollouts
            done += 1
            self._observer.on_group("evaluation", group, done, len(self._held_out))
        _require_some_scored(rollouts)
        self._observer.on_evaluation(
            Evaluation(
                step=step,
                n=len(rollouts),
                seconds=time.perf_counter() - started,
                measures=measure(rollouts, version=self._version),
            )
        )

    def _enter(self, phase: Phase, step: int) -> None:
        self._sink.emit(PhaseChanged(t=now_ns(), phase=phase, step=step))


def _require_engines(group: Group) -> None:
    """Stop the job where an engine failed: what it held is lost, and going on would only repeat it."""
    for rollout in group.rollouts:
        if rollout.failure and rollout.failure.boundary == "engine":
            raise HeadwayError(f"trajectory {rollout.id} failed: {rollout.failure.message}")


def _require_some_scored(rollouts: Sequence[Rollout]) -> None:
    """Stop the job where every rollout failed."""
    failures = [rollout.failure for rollout in rollouts if rollout.failure]
    if failures and len(failures) == len(rollouts):
        raise HeadwayError(
            f"all {len(failures)} rollouts failed, the first in its {failures[0].boundary}: "
            f"{failures[0].message}"
        )
