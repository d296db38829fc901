"""The GRPO-RoC loop: roll out groups, keep G of 2G, take one optimiser step, update the live engines.

Invariants: with a staleness of 0, every token of a step is sampled by the weights of the last one; what a
step saw is told to the observer once; a run that trains nothing ends with an error; however it ends, every
trajectory that was started has ended. A loop that is given the state of another goes on as that one would.
Knows nothing of engines, terminals or files.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

from headway.errors import HeadwayError
from headway.scheduler import Agent, Group, Rollout, Scheduler, Task
from headway.scheduler.events import EventSink, Phase, PhaseChanged, now_ns

from .batch import Sample
from .collapse import Alarm, CollapseDetector, StepFigures
from .collector import Collected, Collector, require_engines
from .curriculum import Curriculum
from .fruitless import FruitlessSteps
from .grpo_config import EvalConfig, GrpoConfig
from .in_thread import in_thread
from .loop_observer import Evaluation, GrpoStep, Observer, StageEntry
from .loop_state import HeldOutFigure, LoopState
from .measures import measure
from .policy import Policy
from .roc import advantages
from .screening import try_out, unknown
from .solve_rates import SolveRates
from .stage_config import StageConfig
from .task_cursor import TaskCursor

__all__ = ["EvalConfig", "Evaluation", "GrpoConfig", "GrpoLoop", "GrpoStep", "LoopState", "Observer"]


class GrpoLoop:
    """Runs the steps.

    ``push_weights`` brings the policy's weights into every engine, as the version that it is told.
    ``agent_of`` makes the agent of a stage (None: the scheduler's own). ``state`` is that of a loop that this
    one goes on from; the policy is then the one that it belongs to. ``era`` is part of the names of groups
    that are not trained on, so that those of a loop which went another way are not taken for this one's.
    """

    def __init__(
        self,
        *,
        config: GrpoConfig,
        evaluation: EvalConfig,
        scheduler: Scheduler,
        policy: Policy,
        push_weights: Callable[[int], Awaitable[None]],
        train: TaskCursor,
        held_out: Sequence[Task],
        sink: EventSink,
        observer: Observer,
        agent_of: Callable[[StageConfig], Agent | None] = lambda stage: None,
        state: LoopState | None = None,
        era: str = "",
    ) -> None:
        self._config = config
        self._evaluation = evaluation
        self._scheduler = scheduler
        self._policy = policy
        self._push_weights = push_weights
        self._train = train
        self._held_out = list(held_out)[: evaluation.tasks]
        self._sink = sink
        self._observer = observer
        self._agent_of = agent_of
        self._collector = Collector(
            config=config,
            scheduler=scheduler,
            tasks=train,
            on_group=self._on_group,
            state=state.collector if state else None,
        )
        self._curriculum = Curriculum(config.plan, state.curriculum if state else None)
        self._fruitless = FruitlessSteps(
            min(config.give_up_after, config.most_steps), state.fruitless if state else None
        )
        self._screens = any(stage.drop_solved is not None for stage in config.plan)
        self._rates = SolveRates(state.solve_rates if state else None)
        self._collapse = CollapseDetector(config.collapse)
        self._figures: list[StepFigures | HeldOutFigure] = []
        for figures in state.figures if state else []:
            self._detect(figures)
        self._step = state.step if state else 0
        self._version = state.version if state else 0
        self._era = era

    @property
    def state(self) -> LoopState:
        """From which another loop goes on alike; asked for between steps."""
        return LoopState(
            step=self._step,
            version=self._version,
            collector=self._collector.state,
            curriculum=self._curriculum.state,
            fruitless=self._fruitless.state,
            solve_rates=self._rates.rates,
            figures=list(self._figures),
        )

    async def run(self) -> None:
        """Evaluate, take every step, evaluate.

        Raises ``HeadwayError`` where an engine failed, where every rollout of a step failed, where
        ``give_up_after`` steps in a row, or all of them, trained nothing, where a stage has no task left, and
        where training collapsed and the configuration says to stop then.
        """
        try:
            if self._version:
                await self._push_weights(self._version)
            if self._step == 0:
                await self._evaluate()
            while (stage := self._curriculum.stage) is not None:
                if self._curriculum.begins:
                    await self._begin(stage)
                self._collector.agent = self._agent_of(stage)
                await self._take_step(stage)
            self._enter("idle")
        finally:
            await self._collector.close()

    async def _take_step(self, stage: StageConfig) -> None:
        self._step += 1
        report = await self._train_once(stage)
        self._observer.on_step(report)
        self._heed(self._detect(_figures(report)))
        self._fruitless.note(report.rejections, report.update)
        self._curriculum.note(report.measures.fully_solved)
        every = self._evaluation.every
        if self._curriculum.stage is None or (every and self._step % every == 0):
            await self._evaluate()
        await self._observer.on_state(self._step, self.state)

    async def _begin(self, stage: StageConfig) -> None:
        """Leave out what the policy solves every time, and reset the optimiser, where the stage says so."""
        screened: list[Task] = []
        if stage.drop_solved is not None:
            of, since = stage.drop_solved, self._version - stage.drop_within
            screened = unknown(self._train.pool, self._rates, of=of, since=since)
            self._enter("screening")
            await try_out(
                screened,
                self._rates,
                scheduler=self._scheduler,
                samples=of,
                version=self._version,
                names=[
                    f"s{self._era}{self._curriculum.index}-{number}" for number in range(1, len(screened) + 1)
                ],
                agent=self._agent_of(stage),
                on_group=lambda group, done, wanted: self._observer.on_group(
                    "screening", group, done, wanted
                ),
            )
            self._train.leave_out(
                {task.id for task in self._train.pool if self._rates.solved(task.id, of=of, since=since)}
            )
        if stage.reset_optimizer:
            await in_thread(self._policy.reset_optimizer)
        pool, left_out = len(self._train.pool), len(self._train.left_out)
        self._observer.on_stage(
            StageEntry(
                step=self._step,
                stage=stage.name,
                tasks=pool - left_out if pool else None,
                left_out=left_out,
                screened=len(screened),
            )
        )

    async def _train_once(self, stage: StageConfig) -> GrpoStep:
        started = time.perf_counter()
        self._enter("rollout")
        collected = await self._collector.collect(self._version, left=self._curriculum.left - 1)
        rolled_out = time.perf_counter()
        self._enter("training")
        rollouts = [rollout for group in collected.groups for rollout in group.rollouts]
        _require_some_scored(rollouts)
        measures = measure(rollouts, version=self._version)
        samples = [sample for kept in collected.kept for sample in self._with_advantages(kept)]
        self._observer.on_batch(self._step, rollouts, samples)
        update = (
            await in_thread(lambda: self._policy.step(samples, version=self._version)) if samples else None
        )
        trained = time.perf_counter()
        self._version += 1
        await self._push_weights(self._version)
        return GrpoStep(
            step=self._step,
            stage=stage.name,
            groups=len(collected.groups),
            rejected=len(collected.groups) - len(collected.kept),
            rejections=collected.rejections,
            kept=len(samples),
            trained=_names(collected),
            reweighted=collected.reweighted,
            weight_version=self._version,
            rollout_s=rolled_out - started,
            train_s=trained - rolled_out,
            sync_s=time.perf_counter() - trained,
            measures=measures,
            update=update,
        )

    def _on_group(self, group: Group, usable: int) -> None:
        if self._screens:
            self._rates.note(group, self._version)
        self._observer.on_group("rollout", group, min(usable, self._config.prompts), self._config.prompts)

    def _with_advantages(self, rollouts: Sequence[Rollout]) -> list[Sample]:
        rewards = [float(rollout.reward or 0.0) for rollout in rollouts]
        values = advantages(rewards, self._config.advantage_epsilon, scaled=self._config.scaled_advantages)
        return [Sample(rollout, value) for rollout, value in zip(rollouts, values, strict=True)]

    async def _evaluate(self) -> None:
        if not self._held_out:
            return
        self._enter("evaluation")
        started = time.perf_counter()
        rollouts: list[Rollout] = []
        done = 0
        groups = self._scheduler.stream(
            self._held_out,
            samples=self._evaluation.samples,
            names=[f"e{self._era}{self._step}-{number}" for number in range(1, len(self._held_out) + 1)],
        )
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
            Evaluation(step=self._step, n=len(rollouts), seconds=seconds, measures=measures)
        )
        self._heed(self._detect(HeldOutFigure(step=self._step, pass_at_1=measures.pass_at_1)))

    def _detect(self, figures: StepFigures | HeldOutFigure) -> list[Alarm]:
        self._figures.append(figures)
        if isinstance(figures, HeldOutFigure):
            return self._collapse.note_evaluation(figures.step, figures.pass_at_1)
        return self._collapse.note_step(figures)

    def _heed(self, alarms: Sequence[Alarm]) -> None:
        """Tell the alarms, and end the run at the first where it is to."""
        for alarm in alarms:
            self._observer.on_alarm(alarm)
            if self._config.collapse.stop:
                raise HeadwayError(f"training has collapsed at step {alarm.step}: {alarm.reason}")

    def _enter(self, phase: Phase) -> None:
        self._sink.emit(PhaseChanged(t=now_ns(), phase=phase, step=self._step))


def _names(collected: Collected) -> list[str]:
    return [rollouts[0].group for rollouts in collected.kept]


def _figures(step: GrpoStep) -> StepFigures:
    trained = step.update if step.update is not None and not step.update.skipped else None
    return StepFigures(
        step=step.step,
        reward=step.measures.pass_at_1,
        response_tokens=step.measures.response_tokens,
        entropy=trained.entropy if trained else None,
        grad_norm=step.update.grad_norm if step.update else None,
    )


def _require_some_scored(rollouts: Sequence[Rollout]) -> None:
    """Stop the job where every rollout failed."""
    failures = [rollout.failure for rollout in rollouts if rollout.failure]
    if failures and len(failures) == len(rollouts):
        raise HeadwayError(
            f"all {len(failures)} rollouts failed, the first in its {failures[0].boundary}: "
            f"{failures[0].message}"
        )
