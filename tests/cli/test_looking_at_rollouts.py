"""``headway transcripts`` and ``headway entropy`` on a run folder and on a file; transcripts of steps."""

import asyncio
import contextlib
import json
import random
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from headway.cli.app import app
from headway.cli.step_transcripts import StepTranscripts
from headway.cli.transcripts import _reservoir
from headway.errors import HeadwayError, InputError
from headway.scheduler import Chat, Rollout
from headway.trainer.batch import Sample
from tests.trainer.records import rollout
from tests.trainer.scripted_rollouts import scripted_rollouts

from .command import headway


@pytest.fixture(scope="module")
def recorded() -> tuple[list[Rollout], Chat]:
    return asyncio.run(scripted_rollouts())


@pytest.fixture
def run(tmp_path: Path, recorded: tuple[list[Rollout], Chat]) -> Path:
    """A run folder as far as it is looked at here."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "rollouts.jsonl").write_bytes(
        b"".join(msgspec.json.encode(record) + b"\n" for record in recorded[0])
    )
    (folder / "config.json").write_text(json.dumps({"model": "tiny"}))
    return folder


def test_transcripts_of_a_run_are_shown_and_written(tmp_path: Path, run: Path) -> None:
    done = headway("transcripts", run, "-n", "4", "--html", "t.html", "--json", "t.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("What is 12") == 4
    assert "✓ right" in done.stdout
    assert "✗ wrong" in done.stdout
    assert "✓ python: ok" in done.stdout
    assert (tmp_path / "t.html").read_text().count("<details") == 4
    assert len(json.loads((tmp_path / "t.json").read_text())) == 4


def test_transcripts_can_be_asked_for_by_task_and_outcome(run: Path) -> None:
    def ask(*options: str | Path) -> Result:
        return CliRunner().invoke(app, ["transcripts", *map(str, options)])

    one = ask(run / "rollouts.jsonl", "--model", "tiny", "--task", "t5")
    assert (one.exit_code, one.output.count("task t")) == (0, 1)
    assert "✗ python: error" in one.output
    right = ask(run, "--only", "right", "-n", "99")
    assert (right.output.count("✓ right"), right.output.count("✗ wrong")) == (3, 0)
    assert "leave out --task or --only" in str(ask(run, "--only", "failed").exception)


def test_entropy_of_a_run_is_reported_and_written(tmp_path: Path, run: Path) -> None:
    done = headway("entropy", run, "--html", "e.html", "--json", "e.json", "--first", "4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "after a tool's answer" in done.stdout
    said = json.loads((tmp_path / "e.json").read_text())
    assert said["complete"]
    assert said["rollouts"] == 6
    assert sum(place["share"] for place in said["places"]) == pytest.approx(1)
    assert (tmp_path / "e.html").read_text().count("<h3>") == 3
    assert "other weights than these wrote the rollouts" in done.stdout.replace("\n", " ")


@pytest.mark.parametrize("command", ["transcripts", "entropy"])
def test_what_cannot_be_looked_at_is_explained(tmp_path: Path, run: Path, command: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.jsonl").touch()
    for arguments, fault in {
        ("gone",): "gone: there is no such run folder or file of rollouts",
        ("empty",): "empty: no run folder; there is no rollouts.jsonl in it",
        (str(run / "rollouts.jsonl"),): "give --model DIR",
        ("empty.jsonl", "--model", "tiny"): "empty.jsonl: no rollout in it",
        (str(run), "--model", "gone"): "gone",
    }.items():
        with contextlib.chdir(tmp_path):
            done = CliRunner().invoke(app, [command, *arguments])
        assert isinstance(done.exception, InputError)
        assert fault in str(done.exception)


def test_a_step_writes_a_few_rollouts_those_trained_on_first(
    tmp_path: Path, recorded: tuple[list[Rollout], Chat]
) -> None:
    rollouts, chat = recorded
    transcripts = StepTranscripts(tmp_path / "transcripts", chat.transcript, 3)
    transcripts.write(7, rollouts, [Sample(rollouts[1], -0.5), Sample(rollouts[2], 0.5)])
    text = (tmp_path / "transcripts" / "step-00007.txt").read_text()
    assert text.startswith("step 7: 3 of 6 rollouts\n")
    assert text.count("═" * 100) == 3
    assert "task t1 · reward 0 · advantage -0.50" in text
    assert "task t2 · reward 1 · advantage +0.50" in text
    assert "advantage +0.50" in (tmp_path / "transcripts" / "step-00007.html").read_text()
    transcripts.write(8, [], [])
    assert len(list((tmp_path / "transcripts").iterdir())) == 2


def test_no_transcripts_are_made_where_none_are_asked_for(
    tmp_path: Path, recorded: tuple[list[Rollout], Chat]
) -> None:
    transcripts = StepTranscripts(tmp_path / "transcripts", recorded[1].transcript, 0)
    transcripts.write(1, recorded[0], [])
    assert not (tmp_path / "transcripts").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    transcripts = StepTranscripts(tmp_path / "no" / "transcripts", str, 1)
    with pytest.raises(HeadwayError, match="transcripts: cannot make the folder"):
        transcripts.write(1, [rollout()], [])


def test_a_draw_from_a_long_file_is_uniform() -> None:
    records = [msgspec.structs.replace(rollout(), id=str(i)) for i in range(20)]
    counts = dict.fromkeys(range(20), 0)
    for seed in range(2000):
        for record in _reservoir(iter(records), 5, random.Random(seed)):
            counts[int(record.id)] += 1
    assert all(400 < count < 600 for count in counts.values())
