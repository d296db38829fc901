"""The GRPO-RoC loop: roll out groups, keep G of 2G, take one optimiser step, update the live engines.

Invariants: synchronous, so every token of a step is sampled by the weights of the last one; what a step saw
is told to the observer once; a run that trains nothing ends with an error; however it ends, every trajectory
that was started has ended and no weights file is left.
Knows nothing of engines, terminals or files other than the weights that it hands over.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from headway.errors import HeadwayError
from headway.scheduler import Group, Rollout, Scheduler, Task
from headway.scheduler.events import EventSink, Phase, PhaseChanged, now_ns

from .batch import Sample
from .collapse import Alarm, CollapseDetector, StepFigures
from .collector import Collector, Rejections, require_engines
from .fruitless import FruitlessSteps
from .grpo_config import EvalConfig, GrpoConfig
from .measures import RolloutMeasures, measure
from .policy_model import PolicyModel
from .roc import advantages
from .step_report import StepReport

__all__ = ["EvalConfig", "Evaluation", "GrpoConfig", "GrpoLoop", "GrpoStep", "Observer"]

T = TypeVar("T")


class GrpoStep(msgspec.Struct, frozen=True, kw_only=True):
    """What one step saw and did: groups rolled out, those rejected, and ``kept`` rollouts trained on.

    ``update`` is None where no group was usable; the engines take on the version all the same.
    """

    step: int
    groups: int
    rejected: int
    rejections: Rejections
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

    def on_batch(self, step: int, samples: Sequence[Sample]) -> None:
        """Take in what a step trains on, before it does."""
        ...

    def on_step(self, step: GrpoStep) -> None:
        """Take in that a step is over."""
        ...

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Take in that an evaluation is over."""
        ...

    def on_alarm(self, alarm: Alarm) -> None:
        """Take in a sign that training collapses."""
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
        self._held_out = list(held_out)[: evaluation.tasks]
        self._weights = weights
        self._sink = sink
        self._observer = observer
        self._collector = Collector(config=config, scheduler=scheduler, tasks=train, on_group=self._on_group)
        self._collapse = CollapseDetector(config.collapse)
        self._version = 0

    async def run(self) -> None:
        """Evaluate, take every step, evaluate.

        Raises ``HeadwayError`` where an engine failed, where every rollout of a step failed, where
        ``give_up_after`` steps in a row, or all of them, trained nothing, and where training collapsed and
        the configuration says to stop then.
        """
        fruitless = FruitlessSteps(min(self._config.give_up_after, self._config.steps))
        await self._evaluate(0)
        for step in range(1, self._config.steps + 1):
            report = await self._step(step)
            self._observer.on_step(report)
            self._heed(self._collapse.note_step(_figures(report)))
            fruitless.note(report.rejections, report.update)
            every = self._evaluation.every
            if step == self._config.steps or (every and step % every == 0):
                await self._evaluate(step)
        self._enter("idle", self._config.steps)

    async def _step(self, step: int) -> GrpoStep:
        started = time.perf_counter()
        self._enter("rollout", step)
        collected = await self._collector.collect()
        rolled_out = time.perf_counter()
        self._enter("training", step)
        rollouts = [rollout for group in collected.groups for rollout in group.rollouts]
        _require_some_scored(rollouts)
        measures = measure(rollouts, version=self._version)
        samples = [sample for kept in collected.kept for sample in self._with_advantages(kept)]
        self._observer.on_batch(step, samples)
        update = (
            await _in_thread(lambda: self._model.step(samples, version=self._version)) if samples else None
        )
        trained = time.perf_counter()
        await self._synchronise()
        return GrpoStep(
            step=step,
            groups=len(collected.groups),
            rejected=len(collected.groups) - len(collected.kept),
            rejections=collected.rejections,
            kept=len(samples),
            weight_version=self._version,
            rollout_s=rolled_out - started,
            train_s=trained - rolled_out,
            sync_s=time.perf_counter() - trained,
            measures=measures,
            update=update,
        )

    def _on_group(self, group: Group, usable: int) -> None:
        self._observer.on_group("rollout", group, usable, self._config.prompts)

    def _with_advantages(self, rollouts: Sequence[Rollout]) -> list[Sample]:
        rewards = [float(rollout.reward or 0.0) for rollout in rollouts]
        values = advantages(rewards, self._config.advantage_epsilon, scaled=self._config.scaled_advantages)
        return [Sample(rollout, value) for rollout, value in zip(rollouts, values, strict=True)]

    async def _synchronise(self) -> None:
        """Hand the model's weights to every engine as the next version."""
        self._version += 1
        file = self._weights / f"weights-{self._version}.safetensors"
        try:
            await _in_thread(lambda: self._model.write_weights(file))
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
        groups = self._scheduler.stream(self._held_out, samples=self._evaluation.samples)
        async with contextlib.aclosing(groups):  # or what is still running would outlive an error raised here
            async for group in groups:
                require_engines(group)
                rollouts += group.rollouts
                done += 1
                self._observer.on_group("evaluation", group, done, len(self._held_out))
        _require_some_scored(rollouts)
        measures = measure(rollouts, version=self._version)
        seconds = time.perf_counter() - started
        self._observer.on_evaluation(
            Evaluation(step=step, n=len(rollouts), seconds=seconds, measures=measures)
        )
        self._heed(self._collapse.note_evaluation(step, measures.pass_at_1))

    def _heed(self, alarms: Sequence[Alarm]) -> None:
        """Tell the alarms, and end the run at the first where it is to."""
        for alarm in alarms:
            self._observer.on_alarm(alarm)
            if self._config.collapse.stop:
                raise HeadwayError(f"training has collapsed at step {alarm.step}: {alarm.reason}")

    def _enter(self, phase: Phase, step: int) -> None:
        self._sink.emit(PhaseChanged(t=now_ns(), phase=phase, step=step))


def _figures(step: GrpoStep) -> StepFigures:
    trained = step.update if step.update is not None and not step.update.skipped else None
    return StepFigures(
        step=step.step,
        reward=step.measures.pass_at_1,
        response_tokens=step.measures.response_tokens,
        entropy=trained.entropy if trained else None,
        grad_norm=step.update.grad_norm if step.update else None,
    )


async def _in_thread(call: Callable[[], T]) -> T:
    """Run a call in a thread; a cancellation waits for its end, because the thread would go on regardless."""
    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise


def _require_some_scored(rollouts: Sequence[Rollout]) -> None:
    """Stop the job where every rollout failed."""
    failures = [rollout.failure for rollout in rollouts if rollout.failure]
    if failures and len(failures) == len(rollouts):
        raise HeadwayError(
            f"all {len(failures)} rollouts failed, the first in its {failures[0].boundary}: "
            f"{failures[0].message}"
        )
