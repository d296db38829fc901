"""What is left of a run that ended early, and how it goes on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headway.cli.output_file import write_json
from headway.cli.resume import Resumed, require_same
from headway.cli.run_folder import RunFolder
from headway.cli.train_config import DataConfig, TrainConfig
from headway.errors import HeadwayError, InputError
from headway.jsonl import cut_torn_line
from headway.scheduler.rollout import Failure
from headway.trainer.grpo import GrpoConfig
from tests.trainer.records import rollout

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
        ids = [json.loads(line)["id"] for line in (run / "rollouts.jsonl").read_text().splitlines()]
        assert len(set(ids)) == len(ids)
        assert {id.rpartition(".")[0] for id in ids} >= set(trained)
    assert sorted(path.name for path in (killed / "checkpoints").iterdir()) == ["step-000006", "step-000009"]


def test_rollouts_that_failed_by_an_engine_are_run_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", name="x")
    records = [
        rollout(id="g1.0", group="g1"),
        rollout(id="g1.1", group="g1", failure=Failure("engine", "died")),
        rollout(id="g1.2", group="g1", failure=Failure("sandbox", "died")),
        rollout(id="other", group="other"),
    ]
    folder.rollouts.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    resumed = Resumed.of(folder)
    assert {group: [r.id for r in rollouts] for group, rollouts in resumed.begun.items()} == {
        "g1": ["g1.0", "g1.2"]
    }
    assert resumed.finished == 2
    folder.release()


def test_a_line_that_is_no_rollout_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", name="x")
    folder.rollouts.write_bytes(msgspec.json.encode(rollout()) + b'\n{"group": 1}\n')
    with pytest.raises(InputError, match=r"rollouts\.jsonl:2: not a rollout record"):
        Resumed.of(folder)
    folder.release()


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
    assert require_same(CONFIG, path) == []
    assert require_same(msgspec.structs.replace(CONFIG, checkpoint_every=7), path) == [
        "checkpoint_every: 10 -> 7"
    ]
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
        names.append((folder.events.name, folder.logs.name))
        folder.release()
    assert names == [("events.jsonl", "logs"), ("events-2.jsonl", "logs-2"), ("events-3.jsonl", "logs-3")]
