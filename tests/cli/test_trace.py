"""``headway trace``, from its options to its tables and files."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from headway.cli.app import app
from headway.errors import InputError
from headway.profiles.traces import load_trace
from tests.profiles.traces.logs import WORKLOAD, life, record, write

CHAT = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    record(folder / "events.jsonl")
    return folder


def trace(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["trace", *map(str, arguments)])


def test_info_says_what_is_in_a_run(run: Path, tmp_path: Path) -> None:
    done = trace("info", run, "--json", tmp_path / "info.json")
    assert done.exit_code == 0, done.output
    assert "an event log of headway, schema version 2" in done.output
    assert "m under headroom" in done.output
    assert "2 groups, 5 trajectories (5 finished, 0 failed, 0 without an end)" in done.output
    assert "sleep" in done.output
    assert json.loads((tmp_path / "info.json").read_text())["events"]["TurnEnded"] == 12


def test_info_says_what_is_missing(tmp_path: Path) -> None:
    log = write(tmp_path / "events.jsonl", life(0, "g1.0", prompt=9), close=False)
    log.write_bytes(log.read_bytes() + b"{")
    assert "the last line is incomplete" in trace("info", log).output


def test_info_looks_into_chats_without_knowing_their_times(tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text(json.dumps(CHAT) + "\n")
    done = trace("info", tmp_path / "chats.jsonl")
    assert "1 groups, 1 trajectories, 1 turns" in done.output
    assert "no times: --latency says how long tools take" in done.output
    assert "no times" not in trace("info", tmp_path / "chats.jsonl", "--latency", "constant:1").output


def test_validate_ends_with_the_status_of_what_it_found(run: Path, tmp_path: Path) -> None:
    fine = trace("validate", run)
    assert fine.exit_code == 0
    assert "nothing wrong" in fine.output
    broken = write(tmp_path / "broken.jsonl", life(0, "g1.0", prompt=9)[1:])
    done = trace("validate", broken, "--show", 1, "--json", tmp_path / "found.json")
    assert done.exit_code == 1
    assert f"{broken}:2: TurnReady of trajectory g1.0, which has not started" in done.output
    assert "and 3 more" in done.output
    assert json.loads((tmp_path / "found.json").read_text())["found"] == 4
    assert isinstance(trace("validate", tmp_path / "none").exception, InputError)


@pytest.mark.parametrize("format", ["llmservingsim", "sessions"])
def test_a_run_is_exported_as_sessions(run: Path, tmp_path: Path, format: str) -> None:
    out = tmp_path / "sessions.jsonl"
    done = trace("export", run, "--to", format, "--out", out, "--clip", 1)
    assert done.exit_code == 0, done.output
    assert "5 sessions" in done.output
    assert "that siblings share a prompt is lost" in done.output
    read = load_trace(out)
    assert read.format == format
    assert read.workload.generated == WORKLOAD.generated
    waits = {turn.tool_s for group in read.workload.groups for turn in group.scripts[0].turns}
    assert max(waits) == pytest.approx(1.0)


def test_a_run_is_exported_as_tables(run: Path, tmp_path: Path) -> None:
    done = trace("export", run, "--to", "parquet", "--out", tmp_path / "tables")
    assert done.exit_code == 0, done.output
    assert "turns.parquet: 12 rows" in done.output
    assert pq.read_table(tmp_path / "tables" / "turns.parquet").num_rows == 12
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine", "tables"]


def test_what_cannot_be_exported_is_refused(run: Path, tmp_path: Path) -> None:
    chats, out = tmp_path / "chats.jsonl", tmp_path / "out"
    chats.write_text(json.dumps(CHAT) + "\n")
    for arguments, said in (
        ([chats, "--to", "parquet", "--out", out], "tables are made of event logs"),
        ([run, "--to", "parquet", "--out", run], "is there already"),
        ([run, "--to", "parquet", "--out", out, "--clip", 1], "it takes --attempt only"),
        ([run, "--to", "sessions", "--out", run], "is a folder; give the name of a file"),
        ([run, "--to", "sessions", "--out", out, "--too-long", "fold"], "--too-long fold: choose"),
        ([chats, "--to", "sessions", "--out", out], "state it, such as --latency"),
    ):
        done = trace("export", *arguments)
        assert isinstance(done.exception, InputError), arguments
        assert said in str(done.exception)
    assert not out.exists()
