"""``headway eval``, from its options to its tables and files."""

import contextlib
import json
import os
import signal
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from headway.cli.app import app
from headway.cli.config import SessionConfig
from headway.cli.evaluation import make_evaluation, pass_ks
from headway.cli.evaluation_tables import print_comparison, print_evaluation
from headway.cli.rollouts import RolloutJob
from headway.errors import InputError
from headway.scheduler import Rollout, Task, save_tasks
from headway.trainer import arithmetic
from headway.trainer.evaluation import compare, load_evaluation
from tests.trainer.records import rollout
from tests.trainer.scripted_rollouts import tasks as make_tasks

from .command import headway, no_process_left, spawn

SMALL = ("--max-turns", "4", "--max-turn-tokens", "96", "--max-context", "512")


def records(folder: Path, right: dict[str, int], n: int = 4, name: str = "r.jsonl") -> Path:
    """A file of rollouts: of each task ``n``, so many of them right."""
    file = folder / name
    with file.open("wb") as out:
        for number, (task, correct) in enumerate(right.items(), 1):
            for sibling in range(n):
                record = rollout(reward=float(sibling < correct), calls=".x", id=f"g{number}.{sibling}")
                record = msgspec.structs.replace(record, task=task, group=f"g{number}")
                out.write(msgspec.json.encode(record) + b"\n")
    return file


def task_file(folder: Path, count: int) -> Path:
    save_tasks(folder / "tasks.jsonl", make_tasks(count))
    return folder / "tasks.jsonl"


def test_a_whole_file_of_rollouts_is_evaluated_without_an_engine_and_compared(tmp_path: Path) -> None:
    task_file(tmp_path, 12)
    records(tmp_path, {f"t{i}": i % 4 for i in range(12)} | {"of another file": 4})
    command = ("eval", "--model", "tiny", "--tasks", "tasks.jsonl", "--samples", "4", *SMALL, "--resume")
    done = headway(*command, "--out", "r.jsonl", "--json", "a.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nothing is missing" in done.stderr
    assert "48 rollouts of 12 tasks" in done.stdout
    assert "pass@1, avg@4" in done.stdout
    assert "tasks solved never 3, sometimes 9, always 0" in done.stdout
    a = load_evaluation(tmp_path / "a.json")
    assert a.complete
    assert a.figures.avg_at_n is not None
    assert a.figures.avg_at_n.value == pytest.approx(6 / 16)
    assert [one.k for one in a.figures.pass_at] == [1, 2, 4]
    assert a.figures.pass_at[-1].estimate.value == pytest.approx(9 / 12)

    records(tmp_path, {f"t{i}": 4 for i in range(12)}, name="better.jsonl")
    with contextlib.chdir(tmp_path):
        options = ("--out", "better.jsonl", "--json", "b.json", "--temperature", "0.5")
        better = CliRunner().invoke(app, [*command, *options])
        assert better.exit_code == 0, better.output
        compared = CliRunner().invoke(app, ["eval", "--compare", "a.json", "b.json", "--json", "c.json"])
    assert compared.exit_code == 0, compared.output
    assert "12 tasks in both" in compared.stdout
    assert "not alike: temperature is 1 in A and 0.5 in B" in compared.stdout
    said = json.loads((tmp_path / "c.json").read_text())
    assert said["lines"][0]["figure"] == "pass@1"
    assert said["lines"][0]["difference"]["value"] == pytest.approx(10 / 16)
    assert said["lines"][0]["p_value"] < 0.01


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ((), "give --model and --tasks, or --compare with two evaluations"),
        (("--model", "tiny"), "give --model and --tasks"),
        (("--model", "tiny", "--compare", "a", "b"), "--compare takes two files"),
        (("--compare", "a", "b"), "a: cannot read the evaluation"),
        (("--model", "tiny", "--tasks", "tasks.jsonl", "--resume"), "name it with --out"),
        (("--model", "tiny", "--tasks", "tasks.jsonl", "--k", "1,8"), "which is 1"),
        (("--model", "tiny", "--tasks", "tasks.jsonl", "--k", "x"), "give whole numbers"),
        (("--model", "tiny", "--tasks", "tasks.jsonl", "--format", "aime"), "no task format is named 'aime'"),
        (("--model", "tiny", "--tasks", "open.jsonl"), "open.jsonl: task o has no answer"),
    ],
)
def test_what_cannot_be_evaluated_is_explained_at_once(
    tmp_path: Path, options: tuple[str, ...], fault: str
) -> None:
    task_file(tmp_path, 2)
    (tmp_path / "open.jsonl").write_text('{"id": "o", "prompt": "Well?"}\n')
    before = set(tmp_path.iterdir())
    with contextlib.chdir(tmp_path):
        done = CliRunner().invoke(app, ["eval", *options])
    assert isinstance(done.exception, InputError)
    assert fault in str(done.exception)
    assert done.output == ""
    assert set(tmp_path.iterdir()) == before


def test_k_goes_up_to_the_samples_by_itself() -> None:
    assert pass_ks(None, 1) == [1]
    assert pass_ks(None, 8) == [1, 2, 4, 8]
    assert pass_ks(None, 12) == [1, 2, 4, 8]
    assert pass_ks("4,1,4", 8) == [1, 4]
    with pytest.raises(InputError):
        pass_ks("0", 4)


def evaluation_of(folder: Path, wanted: list[Task], file: Path):
    job = RolloutJob(tasks="t.jsonl", samples=4, out=file)
    return make_evaluation(SessionConfig(model="tiny"), job, wanted, ks=[1, 4], seconds=1.0)


def test_rollouts_that_are_missing_make_an_evaluation_incomplete(tmp_path: Path) -> None:
    wanted = make_tasks(4)
    assert evaluation_of(tmp_path, wanted, records(tmp_path, {f"t{i}": 1 for i in range(4)})).complete
    part = evaluation_of(tmp_path, wanted, records(tmp_path, {f"t{i}": 1 for i in range(3)}))
    assert not part.complete
    assert part.figures.tasks == 3
    nothing = evaluation_of(tmp_path, wanted, tmp_path / "none.jsonl")
    assert (nothing.complete, nothing.scores) == (False, [])


def test_the_settings_of_an_evaluation_know_other_tasks_from_the_same_ones(tmp_path: Path) -> None:
    wanted, file = make_tasks(3), records(tmp_path, {"t0": 1})
    once = evaluation_of(tmp_path, wanted, file).settings
    assert evaluation_of(tmp_path, wanted[::-1], file).settings == once
    assert evaluation_of(tmp_path, make_tasks(4), file).settings != once


def test_the_tables_fit_on_a_narrow_terminal(tmp_path: Path) -> None:
    import io

    from rich.console import Console

    wanted = make_tasks(40)
    a = evaluation_of(tmp_path, wanted, records(tmp_path, {f"t{i}": i % 5 for i in range(40)}))
    b = evaluation_of(tmp_path, wanted, records(tmp_path, {f"t{i}": i % 3 for i in range(30)}))
    out = io.StringIO()
    console = Console(file=out, width=80)
    print_evaluation(console, a, {})
    print_evaluation(console, b, {"engine: it died": 3})
    print_comparison(console, compare(a, b), ("a.json", "b.json"))
    said = out.getvalue()
    assert "…" not in said
    assert "this is not the whole evaluation" in said
    assert "3 x engine: it died" in said
    tables = [line for line in said.splitlines() if line.startswith(" ")]
    assert all(len(line) <= 80 for line in tables)


@pytest.mark.vllm
@pytest.mark.slow
def test_the_shipped_policy_is_evaluated_and_a_stop_shows_and_writes_what_is_there(tmp_path: Path) -> None:
    save_tasks(tmp_path / "tasks.jsonl", arithmetic.tasks(arithmetic.Split.HELD_OUT, 12))
    command = ("eval", "--model", "tiny", "--tasks", "tasks.jsonl", *SMALL, "--out", "r.jsonl")
    with no_process_left():
        done = headway(*command, "--samples", "2", "--json", "a.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first = load_evaluation(tmp_path / "a.json")
    assert (first.complete, first.figures.tasks, first.figures.rollouts) == (True, 12, 24)
    assert first.figures.avg_at_n is not None
    assert 0.1 < first.figures.avg_at_n.value < 0.95
    assert first.figures.tool_error is not None
    assert 0 < first.figures.tool_error.value < 1

    with no_process_left():
        process = spawn([*command, "--samples", "200", "--resume", "--json", "b.json"], cwd=tmp_path)
        out = tmp_path / "r.jsonl"
        wait_for_lines(process, out, 24 + 20)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Rollouts are missing" in said
    assert "pass@2" in said
    second = load_evaluation(tmp_path / "b.json")
    assert not second.complete
    rollouts = [msgspec.json.decode(line, type=Rollout) for line in out.read_bytes().splitlines()]
    assert second.figures.rollouts + second.figures.unscored == len(rollouts)
    assert sum(score.correct for score in second.scores) == sum(bool(one.reward) for one in rollouts)


def wait_for_lines(process, file: Path, count: int) -> None:
    import time

    deadline = time.monotonic() + 400
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and file.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.2)
    raise AssertionError("no rollouts came")
