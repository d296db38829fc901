"""An event log as parquet tables."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from headway.profiles.traces.tables import SCHEMAS, write_tables
from headway.scheduler import events as ev

from .logs import WORKLOAD, dispatched, life, ready, record, start, write


def tables(log: Path, folder: Path) -> dict[str, list[dict[str, Any]]]:
    folder.mkdir()
    counts = write_tables(log, folder)
    read = {name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in SCHEMAS}
    assert counts == {name: len(rows) for name, rows in read.items()}
    return read


def test_every_turn_trajectory_call_and_engine_has_a_row(tmp_path: Path) -> None:
    result = record(tmp_path / "events.jsonl")
    read = tables(tmp_path / "events.jsonl", tmp_path / "out")
    turns, engines = read["turns"], read["engines"]
    assert sum(row["generated"] for row in turns) == WORKLOAD.generated
    assert sum(row["cached"] for row in turns) == result.cached_tokens
    assert all(row["ready_ns"] <= row["dispatched_ns"] < row["ended_ns"] for row in turns)
    assert {row["group"] for row in turns} == {"g1", "g2"}
    assert sorted(row["trajectory"] for row in read["trajectories"]) == [
        "g1.0",
        "g1.1",
        "g1.2",
        "g2.0",
        "g2.1",
    ]
    slept = [row["ended_ns"] - row["started_ns"] for row in read["tools"] if row["tool"] == "sleep"]
    assert sum(slept) / 1e9 == pytest.approx(3 * 2.0 + 2 * 0.75)
    assert [row["engine"] for row in engines] == ["e0", "e1"]
    assert sum(row["turns"] for row in engines) == len(turns)
    assert sum(row["generated"] for row in engines) == WORKLOAD.generated


def test_what_has_no_end_has_a_row_without_one_and_each_try_has_its_own(tmp_path: Path) -> None:
    events = [
        ev.EngineStarted(
            t=0, engine="e0", kind="vllm", version="1", device="cpu", kv_tokens=9, block_size=16,
            max_context=64, gpus=["0"],
        ),
        start(1, "g1.0"),
        ready(1, "g1.0", 0, 50),
        ev.TurnHeld(t=1, trajectory="g1.0", reason="cap"),
        dispatched(2, "g1.0", 0),
        ev.TurnAbandoned(t=3, trajectory="g1.0", turn=0),
        ready(4, "g1.0", 0, 50),
        ev.ToolStarted(t=5, trajectory="g1.0", turn=0, tool="p"),
        *life(10, "g2.0", prompt=9),
    ]  # fmt: skip
    read = tables(write(tmp_path / "events.jsonl", events, close=False), tmp_path / "out")
    told = [(row["trajectory"], row["status"], row["held"], row["ended_ns"]) for row in read["turns"]]
    assert told == [
        ("g1.0", "abandoned", "cap", 3),
        ("g2.0", "ended", None, 21),
        ("g1.0", None, None, None),
    ]
    assert [(row["trajectory"], row["status"]) for row in read["trajectories"]] == [
        ("g2.0", "finished"),
        ("g1.0", None),
    ]
    assert read["tools"][0]["ended_ns"] is None
    assert (read["engines"][0]["kv_tokens"], read["engines"][0]["gpus"]) == (9, ["0"])


def test_columns_say_their_units(tmp_path: Path) -> None:
    record(tmp_path / "events.jsonl")
    tables(tmp_path / "events.jsonl", tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out" / "turns.parquet")
    units = {name: schema.field(name).metadata for name in ("ready_ns", "queue_s", "prompt", "turn")}
    assert units == {
        "ready_ns": {b"unit": b"ns"},
        "queue_s": {b"unit": b"s"},
        "prompt": {b"unit": b"tokens"},
        "turn": None,
    }
