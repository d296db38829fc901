"""What is left of a run that ended early, and how it goes on."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headway.cli.output_file import write_json
from headway.cli.recorded_groups import RecordedGroups
from headway.cli.resume import Kept, Resumed, _Wanted, are_harmless, require_same
from headway.cli.run_folder import RunFolder
from headway.cli.summary import Summary
from headway.cli.train_config import DataConfig, TrainConfig
from headway.errors import HeadwayError, InputError
from headway.jsonl import cut_torn_line, shorten
from headway.scheduler import Rollout, Task
from headway.scheduler.rollout import Failure
from headway.trainer.checkpoint import pack, read_packed, write_checkpoint
from headway.trainer.collapse import Alarm, StepFigures
from headway.trainer.collector import CollectorState, Drawn
from headway.trainer.curriculum import CurriculumState
from headway.trainer.grpo import GrpoConfig
from headway.trainer.ranks import Ranks
from tests.trainer.records import rollout

from .test_observer import state

REPOSITORY = Path(__file__).parents[2]
CONFIG = TrainConfig(model="m", data=DataConfig(tasks=9))


def told(metrics: Path) -> list[dict[str, Any]]:
    """Every figure but the times."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    for line in lines:
        for record in (line, line.get("update") or {}):
            for name in [name for name in record if name.endswith(("_s", "seconds", "overhead"))]:
                del record[name]
    return lines


@pytest.mark.slow
def test_a_run_that_is_killed_ten_times_ends_as_one_that_never_was(tiny_model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.cli.killed_runs", str(tiny_model), str(tmp_path), "10"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("killed after") == 10, done.stdout
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    figures = told(unbroken / "metrics.jsonl")
    assert told(killed / "metrics.jsonl") == figures
    assert {line["kind"] for line in figures} >= {"stage", "step", "eval"}
    assert any(line.get("left_out") for line in figures)
    weights = "model/model.safetensors"
    assert (killed / weights).read_bytes() == (unbroken / weights).read_bytes()
    trained = [name for line in figures for name in line.get("trained", [])]
    assert len(set(trained)) == len(trained) > 20
    for run in (unbroken, killed):
        summary = json.loads((run / "summary.json").read_text())
        assert summary["complete"]
        ids = [json.loads(line)["id"] for line in (run / "rollouts.jsonl").read_text().splitlines()]
        assert len(set(ids)) == len(ids)
        assert {id.rpartition(".")[0] for id in ids} >= set(trained)
        assert summary["trajectories"] == {"started": len(ids), "finished": len(ids), "failed": 0}
    assert sorted(path.name for path in (killed / "checkpoints").iterdir()) == ["step-000006", "step-000009"]


def written(path: Path, *records: Rollout) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    return path


def test_rollouts_that_failed_by_an_engine_are_run_again(tmp_path: Path) -> None:
    recorded = RecordedGroups(
        written(
            tmp_path / "rollouts.jsonl",
            rollout(id="g1.0"),
            rollout(id="g1.1", failure=Failure("engine", "died")),
            rollout(id="g1.2", failure=Failure("sandbox", "died")),
            rollout(id="other.0", group="other"),
        ),
        wanted=lambda group: group == "g1",
    )
    assert list(recorded) == ["g1"]
    assert [record.id for record in recorded["g1"]] == ["g1.0", "g1.2"]
    assert recorded.finished == 2
    assert [place.failed for place in recorded.places] == [False, True, True, False]


def test_an_unfinished_rollout_stands_back_behind_one_that_has_finished_since(tmp_path: Path) -> None:
    path = written(tmp_path / "rollouts.jsonl", rollout(id="g1.0", reward=1.0))
    unfinished = [rollout(id="g1.0"), rollout(id="g1.1"), rollout(id="g2.0", group="g2")]
    recorded = RecordedGroups(path, unfinished=unfinished)
    assert {group: [(r.id, r.reward) for r in recorded[group]] for group in recorded} == {
        "g1": [("g1.1", 0.0), ("g1.0", 1.0)],
        "g2": [("g2.0", 0.0)],
    }


def test_logprobs_that_are_no_numbers_are_read_as_they_were_recorded(tmp_path: Path) -> None:
    record = rollout()
    record.logprobs[-1] = math.nan
    (again,) = RecordedGroups(written(tmp_path / "rollouts.jsonl", record))["g1"]
    assert math.isnan(again.logprobs[-1])
    assert again.logprobs[:-1] == record.logprobs[:-1]


def test_a_line_that_is_no_rollout_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "rollouts.jsonl", rollout())
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b'{"group": 1}\n')
    with pytest.raises(InputError, match=rf"rollouts\.jsonl: at byte {size}: not a rollout record"):
        RecordedGroups(path)


def test_figures_that_are_no_numbers_come_back_as_they_were(tmp_path: Path) -> None:
    summary = Summary(headway="0", model="m", policy="p", logprob_max_abs_diff=math.nan)
    summary.alarms.append(Alarm(step=1, signal="grad_norm", value=math.inf, reference=1.0, reason="large"))
    figures = StepFigures(step=1, reward=0.5, response_tokens=3.0, grad_norm=math.inf)
    kept = Kept(
        loop=msgspec.structs.replace(state(3), figures=[figures]),
        unfinished=[],
        summary=summary,
        metrics_bytes=1,
        rollouts_bytes=2,
        rollouts_from=0,
    )
    write_checkpoint(tmp_path / "step-1", {}, steps=1, extra=pack(kept), ranks=Ranks())
    again = read_packed(tmp_path / "step-1", Kept)
    assert math.isnan(again.summary.logprob_max_abs_diff)
    assert again.summary.alarms == summary.alarms
    assert again.loop == kept.loop


@pytest.mark.parametrize(
    ("group", "wanted"),
    [
        *[("g4", False), ("g5", True), ("g6", False), ("g7", True), ("e3-1", False), ("e4-1", True)],
        *[("s0-1", False), ("s1-1", True), ("s2-9", True), ("er2-4-1", False), ("mine", False)],
    ],
)
def test_only_what_comes_after_the_checkpoint_is_taken(group: str, wanted: bool) -> None:
    drawn = Drawn(number=5, task=Task(id="t", messages=[]))
    after = msgspec.structs.replace(
        state(3),
        collector=CollectorState(drawn=6, pending=[drawn]),
        curriculum=CurriculumState(stage=1),
    )
    assert _Wanted(after, "")(group) is wanted
    middle = msgspec.structs.replace(after, curriculum=CurriculumState(stage=1, fully_solved=[0.5]))
    assert not _Wanted(middle, "")("s1-1")
    assert _Wanted(after, "r2-")("er2-4-1")
    assert _Wanted(after, "r2-")("g5")


def test_a_run_that_changed_is_evaluated_anew(tmp_path: Path) -> None:
    changed = {"grpo.steps": "", "engines.count": "", "log": ""}
    assert are_harmless(changed)
    assert not are_harmless({**changed, "grpo.optimizer.learning_rate": ""})
    folder = RunFolder(tmp_path / "run", name="x")
    written(folder.rollouts, rollout(id="g1.0"), rollout(id="e0-1.0", group="e0-1"))
    folder.events.touch()
    folder.release()
    again = RunFolder(tmp_path / "run", name="x", resume=True)
    for exactly, groups in ((True, {"g1", "e0-1"}), (False, {"g1"}), (True, {"g1"})):
        resumed = Resumed.of(again, exactly=exactly)
        assert resumed.begun is not None
        assert set(resumed.begun) == groups
    again.release()


def test_metrics_are_shortened_to_the_checkpoint_and_never_filled_up(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("one\ntwo\n")
    shorten(metrics, 100)
    assert metrics.read_text() == "one\ntwo\n"
    shorten(metrics, 4)
    assert metrics.read_text() == "one\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("a\n", "a\n"), ("a\nb", "a\n"), ("b", ""), ("a\n" + "b" * (3 << 20), "a\n")],
    ids=["empty", "whole", "torn", "only torn", "long"],
)
def test_only_a_torn_line_is_cut_off(tmp_path: Path, before: str, after: str) -> None:
    (tmp_path / "file").write_text(before)
    cut_torn_line(tmp_path / "file")
    assert (tmp_path / "file").read_text() == after
    cut_torn_line(tmp_path / "none")


def test_a_run_goes_on_only_with_what_it_began_with(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_json(path, CONFIG)
    assert require_same(CONFIG, path) == {}
    assert require_same(msgspec.structs.replace(CONFIG, checkpoint_every=7), path) == {
        "checkpoint_every": "checkpoint_every: 10 -> 7"
    }
    for changed, key in (
        (msgspec.structs.replace(CONFIG, model="other"), "model"),
        (msgspec.structs.replace(CONFIG, data=DataConfig(tasks=10)), "data.tasks"),
        (msgspec.structs.replace(CONFIG, grpo=GrpoConfig(seed=5)), "grpo.seed"),
    ):
        with pytest.raises(InputError, match=rf"begun with another {key}: .* -> .*resume it with the old"):
            require_same(changed, path)


def test_two_processes_never_have_one_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", name="x")
    with pytest.raises(HeadwayError, match="another process has this run open"):
        RunFolder(tmp_path / "run", name="x", resume=True)
    folder.release()
    again = RunFolder(tmp_path / "run", name="x", resume=True)
    assert again.is_new
    again.release()


def test_each_attempt_has_an_event_log_of_its_own(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        folder = RunFolder(tmp_path / "run", name="x", resume=True)
        folder.events.touch()
        if folder.attempt == 3:
            (folder.path / "events-2.jsonl").unlink()
        names.append((folder.events.name, folder.logs.name))
        folder.release()
    assert names == [("events.jsonl", "logs"), ("events-2.jsonl", "logs-2"), ("events-3.jsonl", "logs-3")]
