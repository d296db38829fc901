"""The loop, on scripted engines and a model that is trained in milliseconds."""

import asyncio
import itertools
import math
import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headway.engine import EngineError, Generation, Request
from headway.engine.scripted import ScriptedEngine
from headway.errors import HeadwayError
from headway.scheduler import (
    Episode,
    EpisodeConfig,
    Group,
    Message,
    Outcome,
    Rollout,
    Scheduler,
    Task,
    TurnConfig,
    make_policy,
)
from headway.scheduler import events as ev
from headway.trainer.batch import Sample
from headway.trainer.collapse import Alarm, CollapseConfig
from headway.trainer.collector import Collector, Rejections
from headway.trainer.file_weights import FileWeights
from headway.trainer.grpo import EvalConfig, Evaluation, GrpoConfig, GrpoLoop, GrpoStep, LoopState
from headway.trainer.loop_observer import StageEntry
from headway.trainer.policy_model import OptimizerConfig, PolicyModel
from headway.trainer.roc import RocConfig
from headway.trainer.step_report import StepReport
from headway.trainer.task_cursor import TaskCursor

SMALL = GrpoConfig(steps=1, prompts=2, samples=4, keep=2, refill=3)


class Watcher:
    """Both the observer and the sink of a run."""

    def __init__(self) -> None:
        self.groups: list[tuple[str, int, int]] = []
        self.steps: list[GrpoStep] = []
        self.evaluations: list[Evaluation] = []
        self.batches: list[tuple[int, Sequence[Sample]]] = []
        self.alarms: list[Alarm] = []
        self.stages: list[StageEntry] = []
        self.states: list[LoopState] = []
        self.events: list[ev.Event] = []

    def on_group(self, phase: str, group: Group, done: int, wanted: int) -> None:
        self.groups.append((phase, done, wanted))

    def on_step(self, step: GrpoStep) -> None:
        self.steps.append(step)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self.evaluations.append(evaluation)

    def on_batch(self, step: int, rollouts: Sequence[Rollout], samples: Sequence[Sample]) -> None:
        assert {sample.rollout.id for sample in samples} <= {rollout.id for rollout in rollouts}
        self.batches.append((step, samples))

    def on_alarm(self, alarm: Alarm) -> None:
        self.alarms.append(alarm)

    def on_stage(self, entry: StageEntry) -> None:
        self.stages.append(entry)

    async def on_state(self, step: int, state: LoopState) -> None:
        assert state.step == step
        self.states.append(state)

    def emit(self, event: ev.Event) -> None:
        self.events.append(event)

    def of(self, kind: type[ev.Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def assert_every_start_has_its_end(self) -> None:
        started = [event.trajectory for event in self.of(ev.TrajectoryStarted)]
        assert started
        assert sorted(event.trajectory for event in self.of(ev.TrajectoryEnded)) == sorted(started)


async def agent(episode: Episode) -> Outcome:
    """Answers with its own number among its siblings."""
    episode.observe([1, 2, int(episode.task.id.rpartition("-")[2])])
    await episode.generate(20)
    return Outcome("answer", answer=episode.id.rpartition(".")[2], answer_tags=1)


async def reward(task: Task, outcome: Outcome) -> float | None:
    """A task's answer says which siblings are right; one without an answer has no reward."""
    assert outcome.answer is not None
    return None if task.answer is None else float(outcome.answer in task.answer)


RIGHT, WRONG, MIXED, UNSCORED = "0123", "", "13", None


def tasks(*answers: str | None) -> list[Task]:
    return [
        Task(id=f"t-{i}", messages=[Message("user", "?")], answer=answer) for i, answer in enumerate(answers)
    ]


def make_scheduler(watcher: Watcher, engines: Sequence[ScriptedEngine], told: list[Rollout]) -> Scheduler:
    return Scheduler(
        engines,
        policy=make_policy("headroom"),
        agent=agent,
        reward=reward,
        episodes=EpisodeConfig(max_context=1024),
        turns=TurnConfig(),
        sink=watcher,
        on_rollout=told.append,
    )


class Run:
    """A loop with all that it is wired to."""

    def __init__(
        self,
        model: Path,
        weights: Path,
        *,
        train: Iterable[str | None] = (),
        held_out: Sequence[str | None] = (),
        config: GrpoConfig = SMALL,
        evaluation: EvalConfig | None = None,
        engine: ScriptedEngine | None = None,
    ) -> None:
        self.engine = engine or ScriptedEngine(lambda prompt: [5, 6, 7])
        self.watcher = Watcher()
        self.rollouts: list[Rollout] = []
        self.scheduler = make_scheduler(self.watcher, [self.engine], self.rollouts)
        self.model = PolicyModel(model, OptimizerConfig(learning_rate=1e-3, warmup_steps=0))
        self.weights = weights
        self.loop = GrpoLoop(
            config=config,
            evaluation=evaluation or EvalConfig(),
            scheduler=self.scheduler,
            policy=self.model,
            push_weights=FileWeights(self.model, self.scheduler, weights).push,
            train=TaskCursor(iter(tasks(*train, *[MIXED] * 20))),
            held_out=tasks(*held_out),
            sink=self.watcher,
            observer=self.watcher,
        )


async def test_a_step_trains_on_its_groups_and_is_told_once(tiny_model: Path, tmp_path: Path) -> None:
    run = Run(tiny_model, tmp_path, config=msgspec.structs.replace(SMALL, steps=3))
    await run.loop.run()
    assert [step.step for step in run.watcher.steps] == [1, 2, 3]
    for step in run.watcher.steps:
        assert (step.groups, step.rejected, step.kept) == (2, 0, 4)
        assert step.measures.trajectories == 8
        assert step.measures.pass_at_1 == 0.5
        assert step.update is not None
        assert not step.update.skipped
        assert step.update.tokens == 4 * 3
    assert run.watcher.groups == [("rollout", 1, 2), ("rollout", 2, 2)] * 3
    phases = [(event.phase, event.step) for event in run.watcher.of(ev.PhaseChanged)]
    assert phases == [(phase, step) for step in (1, 2, 3) for phase in ("rollout", "training")] + [
        ("idle", 3)
    ]
    run.watcher.assert_every_start_has_its_end()


async def test_rejected_groups_are_replaced_until_the_batch_is_full(tiny_model: Path, tmp_path: Path) -> None:
    run = Run(tiny_model, tmp_path, train=[RIGHT, WRONG, UNSCORED, WRONG, MIXED, MIXED])
    await run.loop.run()
    (step,) = run.watcher.steps
    assert (step.groups, step.rejected, step.kept) == (6, 4, 4)
    assert step.rejections == Rejections(all_right=1, all_wrong=2, unscored=1)


async def test_at_the_refill_limit_a_part_of_a_batch_is_trained_on(tiny_model: Path, tmp_path: Path) -> None:
    run = Run(tiny_model, tmp_path, train=[WRONG, WRONG, MIXED, RIGHT, RIGHT, WRONG])
    await run.loop.run()
    (step,) = run.watcher.steps
    assert (step.groups, step.rejected, step.kept) == (6, 5, 2)
    assert step.update is not None


async def test_every_step_is_sampled_by_the_weights_of_the_last(tiny_model: Path, tmp_path: Path) -> None:
    run = Run(tiny_model, tmp_path, config=msgspec.structs.replace(SMALL, steps=3))
    await run.loop.run()
    assert [step.weight_version for step in run.watcher.steps] == [1, 2, 3]
    assert [step.measures.staleness for step in run.watcher.steps] == [0, 0, 0]
    assert [set(rollout.versions) for rollout in run.rollouts] == [
        {-1, version} for version in (0, 1, 2) for _ in range(8)
    ]
    assert list(tmp_path.iterdir()) == []


class ReadsWeights(ScriptedEngine):
    """Notes the weights files that it is given."""

    read: list[bytes]

    async def update_weights(self, weights: Path, version: int) -> None:
        self.read = [*getattr(self, "read", []), await asyncio.to_thread(weights.read_bytes)]
        if len(self.read) == 2:
            raise EngineError("engine-0 died: cannot load")


async def test_the_engines_read_each_steps_weights_and_the_file_is_gone_whatever_happens(
    tiny_model: Path, tmp_path: Path
) -> None:
    engine = ReadsWeights(lambda prompt: [5, 6, 7])
    run = Run(tiny_model, tmp_path, config=msgspec.structs.replace(SMALL, steps=3), engine=engine)
    with pytest.raises(HeadwayError, match="cannot load"):
        await run.loop.run()
    assert len(engine.read) == 2
    assert engine.read[0] != engine.read[1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("every", "after"), [(0, [0, 5]), (2, [0, 2, 4, 5]), (5, [0, 5])])
async def test_held_out_tasks_are_evaluated_before_in_between_and_after(
    tiny_model: Path, tmp_path: Path, every: int, after: list[int]
) -> None:
    config = msgspec.structs.replace(SMALL, steps=5)
    evaluation = EvalConfig(tasks=3, samples=4, every=every)
    run = Run(
        tiny_model, tmp_path, held_out=[RIGHT, WRONG, MIXED, RIGHT], config=config, evaluation=evaluation
    )
    await run.loop.run()
    assert [evaluation.step for evaluation in run.watcher.evaluations] == after
    for evaluated in run.watcher.evaluations:
        assert evaluated.n == 12
        assert evaluated.measures.pass_at_1 == 0.5
        assert evaluated.measures.staleness == 0


class DiesAtOnce(ScriptedEngine):
    """Fails the turns of the first group while the others never end."""

    async def generate(self, request: Request) -> Generation:
        self.requests.append(request)
        if len(self.requests) <= 2:
            raise EngineError("engine-0 died: out of luck")
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("held_out", [[], [MIXED] * 6])
async def test_a_failed_engine_ends_the_job_with_its_message_and_every_trajectory(
    tiny_model: Path, tmp_path: Path, held_out: list[str]
) -> None:
    run = Run(
        tiny_model,
        tmp_path,
        held_out=held_out,
        engine=DiesAtOnce(lambda prompt: []),
        config=msgspec.structs.replace(SMALL, prompts=6, samples=2),
        evaluation=EvalConfig(samples=2),
    )
    with pytest.raises(HeadwayError, match=r"trajectory (g1|e0-1).0 failed: engine-0 died: out of luck"):
        await run.loop.run()
    assert len(run.watcher.of(ev.TrajectoryStarted)) == 12
    run.watcher.assert_every_start_has_its_end()
    assert run.watcher.steps == []


async def test_when_every_rollout_fails_the_first_cause_is_told(tiny_model: Path, tmp_path: Path) -> None:
    run = Run(tiny_model, tmp_path)

    async def broken(episode: Episode) -> Outcome:
        raise RuntimeError("my bug")

    run.scheduler._agent = broken
    with pytest.raises(HeadwayError, match=r"all 24 rollouts failed, the first in its agent: my bug"):
        await run.loop.run()
    assert run.watcher.steps == []


async def test_a_run_cancelled_in_a_rollout_leaves_nothing_running(tiny_model: Path, tmp_path: Path) -> None:
    run = Run(tiny_model, tmp_path)
    await run.engine.pause()
    running = asyncio.create_task(run.loop.run())
    while run.engine.stats().running < 8:  # noqa: ASYNC110
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert run.engine.stats().running == 0
    run.watcher.assert_every_start_has_its_end()


async def test_a_run_cancelled_in_an_optimiser_step_ends_when_the_step_has(
    tiny_model: Path, tmp_path: Path
) -> None:
    run = Run(tiny_model, tmp_path)
    inside, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def before(*_: object) -> None:
        inside.set()
        assert go_on.wait(30)

    run.model._optimizer.register_step_pre_hook(before)
    run.model._optimizer.register_step_post_hook(lambda *_: over.set())
    running = asyncio.create_task(run.loop.run())
    assert await asyncio.to_thread(inside.wait, 30)
    running.cancel()
    assert not (await asyncio.wait({running}, timeout=0.1))[0]
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert over.is_set()
    assert run.watcher.steps == []
    assert list(tmp_path.iterdir()) == []


async def test_a_run_whose_steps_have_no_usable_group_gives_up_and_counts_the_reasons(
    tiny_model: Path, tmp_path: Path
) -> None:
    config = msgspec.structs.replace(SMALL, steps=9, refill=1.0, give_up_after=3)
    answers = [WRONG, WRONG, MIXED, WRONG, *[RIGHT, WRONG] * 2, RIGHT, UNSCORED]
    run = Run(tiny_model, tmp_path, config=config, train=answers)
    with pytest.raises(HeadwayError) as caught:
        await run.loop.run()
    assert re.sub(r" \(.*?\)", "", str(caught.value)) == (
        "3 steps in a row trained nothing: groups all wrong: 2; groups all right: 3; "
        "groups with fewer than `keep` rollouts scored: 1"
    )
    assert [step.kept for step in run.watcher.steps] == [0, 2, 0, 0, 0]
    assert [step.update is None for step in run.watcher.steps] == [True, False, True, True, True]


async def test_a_run_too_short_to_give_up_still_fails_if_it_trained_nothing(
    tiny_model: Path, tmp_path: Path
) -> None:
    run = Run(tiny_model, tmp_path, train=[WRONG] * 6)
    with pytest.raises(HeadwayError, match=r"^the step trained nothing: groups all wrong: 6"):
        await run.loop.run()
    assert len(run.watcher.steps) == 1


class NotFinite(PolicyModel):
    """Sees a loss that is not a number."""

    def step(self, samples: Sequence[Sample], **options: Any) -> StepReport:
        return super().step([Sample(sample.rollout, math.nan) for sample in samples], **options)


async def test_skipped_updates_are_told_and_count_as_nothing_trained(
    tiny_model: Path, tmp_path: Path
) -> None:
    run = Run(tiny_model, tmp_path, config=msgspec.structs.replace(SMALL, steps=9))
    run.loop._policy = NotFinite(tiny_model, OptimizerConfig())
    with pytest.raises(
        HeadwayError, match=r"^3 steps in a row trained nothing: updates not finite and so skipped: 3"
    ):
        await run.loop.run()
    assert [step.update.skipped for step in run.watcher.steps if step.update] == [True] * 3


@pytest.mark.parametrize("method", ["inverse", "uniform"])
async def test_what_is_kept_does_not_depend_on_the_order_in_which_groups_complete(method: Any) -> None:
    config = GrpoConfig(prompts=4, samples=4, keep=2, roc=RocConfig(method=method))
    orders, kept = [], []
    for lengths in itertools.permutations((1, 6, 11, 16), 4):
        order: list[str] = []
        engine = ScriptedEngine(lambda prompt, lengths=lengths: [5] * lengths[prompt[-1]])
        collector = Collector(
            config=config,
            scheduler=make_scheduler(Watcher(), [engine], []),
            tasks=TaskCursor(iter(tasks(*[MIXED] * 4))),
            on_group=lambda group, usable, order=order: order.append(group.task),
        )
        collected = await collector.collect(0)
        orders.append(tuple(order))
        kept.append({rollout.id for group in collected.kept for rollout in group})
    assert len(set(orders)) > 3
    assert all(ids == kept[0] for ids in kept)
    assert len(kept[0]) == 8


async def test_another_seed_keeps_other_rollouts() -> None:
    kept = set()
    for seed in range(5):
        collector = Collector(
            config=GrpoConfig(prompts=4, samples=4, keep=2, seed=seed),
            scheduler=make_scheduler(Watcher(), [ScriptedEngine(lambda prompt: [5])], []),
            tasks=TaskCursor(iter(tasks(*[MIXED] * 4))),
            on_group=lambda group, usable: None,
        )
        collected = await collector.collect(0)
        kept.add(tuple(sorted(rollout.id for group in collected.kept for rollout in group)))
    assert len(kept) > 1


async def test_what_a_step_trains_on_is_told_with_its_advantages(tiny_model: Path, tmp_path: Path) -> None:
    run = Run(tiny_model, tmp_path)
    await run.loop.run()
    ((step, samples),) = run.watcher.batches
    assert step == 1
    assert len(samples) == run.watcher.steps[0].kept
    assert {sample.advantage > 0 for sample in samples if sample.rollout.reward} == {True}


@pytest.mark.parametrize("stop", [False, True])
async def test_a_collapse_is_told_and_ends_the_run_where_it_is_to(
    tiny_model: Path, tmp_path: Path, stop: bool
) -> None:
    collapse = CollapseConfig(stop=stop, window=1, history=1, evaluations=1)
    config = msgspec.structs.replace(SMALL, steps=3, collapse=collapse, prompts=1, refill=1.0, samples=4)
    run = Run(tiny_model, tmp_path, config=config, train=["012", "0", "012"])
    if stop:
        with pytest.raises(
            HeadwayError, match=r"training has collapsed at step 2: the mean reward was 0.250"
        ):
            await run.loop.run()
    else:
        await run.loop.run()
    assert [(alarm.step, alarm.signal) for alarm in run.watcher.alarms] == [(2, "reward")]
    assert [step.step for step in run.watcher.steps] == ([1, 2] if stop else [1, 2, 3])
