"""What a run says of itself, while it runs and at its end."""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from headway.cli.observer import RunObserver
from headway.cli.recorder import Recorder
from headway.cli.report import print_report, time_table
from headway.cli.run_folder import RunFolder
from headway.cli.step_transcripts import StepTranscripts
from headway.cli.summary import Summary
from headway.cli.train_config import TrainConfig
from headway.cli.view import View
from headway.errors import HeadwayError
from headway.jsonl import JsonLines
from headway.profiles.cause import Cause
from headway.scheduler import Group
from headway.scheduler import events as ev
from headway.trainer.batch import Sample
from headway.trainer.collapse import Alarm
from headway.trainer.collector import CollectorState, Rejections
from headway.trainer.curriculum import CurriculumState
from headway.trainer.fruitless import FruitlessState
from headway.trainer.loop_observer import Evaluation, GrpoStep
from headway.trainer.loop_state import LoopState
from headway.trainer.measures import measure
from headway.trainer.metrics_log import MetricsLog
from tests.trainer.records import rollout

CONFIG = TrainConfig(model="tiny")


class Policy:
    """Stands for the trained model; ``error`` is what saving it raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.saved: list[Path] = []

    def save(self, folder: Path) -> None:
        self.saved.append(folder)
        if self.error:
            raise self.error

    def save_checkpoint(self, folder: Path, extra: Mapping[str, Any]) -> None:
        assert msgspec.json.encode(extra)
        folder.mkdir(parents=True)


class Run:
    """The parts of a run around its observer."""

    def __init__(self, path: Path, policy: Policy, *, width: int = 80) -> None:
        self.folder = RunFolder(path, name="x")
        self.out = io.StringIO()
        self.console = Console(file=self.out, width=width)
        self.view = View(self.console, CONFIG, self.folder)
        self.recorder = Recorder(
            self.folder.events,
            engines=["engine-0", "engine-1"],
            model="tiny",
            policy="headroom",
            watchers=[self.view],
        )
        self.metrics = MetricsLog(self.folder.path)
        self.summary = Summary(headway="0", model="tiny", policy="headroom")
        self.observer = RunObserver(
            folder=self.folder,
            summary=self.summary,
            recorder=self.recorder,
            metrics=self.metrics,
            view=self.view,
            policy=policy,
            rollouts=JsonLines(self.folder.rollouts),
            checkpoint_every=2,
            keep_checkpoints=1,
        )

    def on_disk(self) -> dict:
        return json.loads(self.folder.summary.read_text())

    def close(self) -> None:
        self.metrics.close()
        for file in self.recorder.files:
            file.close()


def step(number: int) -> GrpoStep:
    return GrpoStep(
        step=number,
        groups=0,
        rejected=0,
        rejections=Rejections(),
        kept=0,
        weight_version=number,
        rollout_s=1.0,
        train_s=1.0,
        sync_s=1.0,
        measures=measure([], version=0),
        update=None,
    )


def state(number: int) -> LoopState:
    return LoopState(
        step=number,
        version=number,
        collector=CollectorState(),
        curriculum=CurriculumState(),
        fruitless=FruitlessState(),
        solve_rates={},
        figures=[],
    )


def ended(trajectory: str, status: str) -> ev.TrajectoryEnded:
    return ev.TrajectoryEnded(
        t=ev.now_ns(), trajectory=trajectory, status=status, cause="answer", turns=1, tokens=2
    )


@pytest.fixture
def policy() -> Policy:
    return Policy()


@pytest.fixture
async def run(tmp_path: Path, policy: Policy) -> Iterator[Run]:
    run = Run(tmp_path / "run", policy)
    yield run
    run.close()


async def test_the_summary_is_current_in_every_field_while_the_run_goes_on(run: Run) -> None:
    for name in ("a", "b", "c"):
        run.recorder.emit(ev.TrajectoryStarted(t=ev.now_ns(), trajectory=name, group="g1", task="t"))
    run.recorder.emit(ended("a", "finished"))
    run.recorder.emit(ended("b", "failed"))
    run.observer.on_step(step(1))
    said = run.on_disk()
    assert said["trajectories"] == {"started": 3, "finished": 1, "failed": 1}
    assert said["wall_ns"] > 0
    for causes in said["idle"].values():
        assert sum(causes.values()) == said["wall_ns"] >= said["steps"][0]["wall_ns"]
    assert not said["complete"]


async def test_a_sign_of_collapse_is_on_the_screen_in_the_summary_and_in_the_metrics(run: Run) -> None:
    alarm = Alarm(step=3, signal="entropy", value=0.01, reference=0.4, reason="the entropy was 0.0100")
    run.observer.on_alarm(alarm)
    assert run.on_disk()["alarms"] == [msgspec.to_builtins(alarm)]
    assert "step 3: the entropy was 0.0100" in run.out.getvalue()
    (line,) = (run.folder.path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["kind"] == "alarm"
    run.out.truncate(0)
    print_report(run.console, run.summary, run.folder)
    assert "step 3: the entropy was 0.0100" in run.out.getvalue()


async def test_a_step_leaves_transcripts_of_its_rollouts_and_of_no_evaluation(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", Policy())
    run.observer._transcripts = StepTranscripts(run.folder.transcripts, str, 2)
    run.observer.on_group("evaluation", Group("t", [rollout()]), 1, 1)
    run.observer.on_batch(1, [], [])
    assert not run.folder.transcripts.exists()
    record = rollout(reward=1.0)
    run.observer.on_batch(2, [record], [Sample(record, 0.5)])
    assert "advantage +0.50" in (run.folder.transcripts / "step-00002.txt").read_text()
    run.close()


async def test_a_checkpoint_is_made_as_often_as_asked(run: Run, policy: Policy) -> None:
    for number in range(1, 6):
        run.observer.on_step(step(number))
        await run.observer.on_state(number, state(number))
    assert policy.saved == [run.folder.model] * 2
    assert [path.name for path in run.folder.checkpoints.iterdir()] == ["step-000004"]
    await run.observer.finish()
    assert run.on_disk()["complete"]
    assert [path.name for path in run.folder.checkpoints.iterdir()] == ["step-000005"]


@pytest.mark.parametrize("policy", [Policy(HeadwayError("checkpoint: cannot write"))])
async def test_the_summary_is_written_where_the_checkpoint_fails(run: Run) -> None:
    with pytest.raises(HeadwayError, match="checkpoint: cannot write"):
        run.observer.conclude()
    assert run.on_disk()["wall_ns"] > 0


async def test_a_checkpoint_is_made_where_the_summary_cannot_be_written(run: Run, policy: Policy) -> None:
    run.folder.summary.mkdir()
    with pytest.raises(HeadwayError, match=r"summary\.json: cannot write"):
        run.observer.conclude()
    assert policy.saved == [run.folder.model]


async def test_turns_that_never_reach_an_engine_do_not_wait_forever(run: Run) -> None:
    def ready(trajectory: str) -> None:
        run.recorder.emit(ev.TurnReady(t=ev.now_ns(), trajectory=trajectory, turn=0, context=1))

    ready("runs")
    ready("refused")
    ready("gives up")
    ready("waits")
    run.recorder.emit(
        ev.TurnDispatched(t=ev.now_ns(), trajectory="runs", turn=0, engine="engine-0", reason="fits")
    )
    run.recorder.emit(ended("refused", "failed"))
    run.recorder.emit(ev.TurnAbandoned(t=ev.now_ns(), trajectory="gives up", turn=0))
    run.console.print(run.view.render())
    assert "waiting for headroom: 1," in run.out.getvalue()


async def test_nothing_that_is_shown_wraps_on_a_narrow_terminal(run: Run) -> None:
    for number in range(4):
        run.observer.on_evaluation(
            Evaluation(step=number, n=256, seconds=1.0, measures=measure([], version=0))
        )
        run.observer.on_step(step(number))
    run.observer.conclude()

    def lines(width: int) -> int:
        console = Console(file=io.StringIO(), width=width, height=40)
        console.print(run.view.render())
        print_report(console, run.summary, run.folder)
        return len(console.file.getvalue().splitlines())

    assert lines(80) == lines(300)


def test_a_large_fleet_is_summed_up_in_four_columns() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(
        time_table({f"engine-{i}": {"busy": 10 * i, "kv_full": 100 - 10 * i} for i in range(8)}, 100)
    )
    said = console.file.getvalue()
    assert ["busy", "0.0", "s", "35.0%", "0.0%", "70.0%"] in [line.split() for line in said.splitlines()]
    assert "engine-0" not in said


def test_an_engine_that_an_attempt_did_not_have_was_down_in_it() -> None:
    summary = Summary(headway="0", model="m", policy="p")
    before = {"a": {"busy": 60, "training": 40}, "b": {"busy": 100}}
    summary.set_idle(before, 100, {"a": {Cause.BUSY: 50}, "c": {Cause.BUSY: 20, Cause.TRAINING: 30}}, 50)
    assert summary.idle == {
        "a": {"busy": 110, "training": 40},
        "b": {"busy": 100, "down": 50},
        "c": {"down": 100, "busy": 20, "training": 30},
    }
    assert {sum(causes.values()) for causes in summary.idle.values()} == {summary.wall_ns}
