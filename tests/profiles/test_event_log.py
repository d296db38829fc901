import os
from pathlib import Path

import pytest

from headway.errors import HeadwayError, InputError
from headway.jsonl import JsonLines
from headway.profiles.event_log import EventLog, Header, Reader
from headway.scheduler import events as ev

HEADER = Header(t=5, wall_ns=1, engines=["a"], model="m", policy="headroom")
EVENTS = [
    ev.TrajectoryStarted(t=6, trajectory="g1.0", group="g1", task="é"),
    ev.TurnReady(t=7, trajectory="g1.0", turn=0, context=12),
    ev.TrajectoryEnded(t=8, trajectory="g1.0", status="failed", cause="engine: died", turns=0, tokens=0),
]


def record(path: Path) -> Path:
    log = EventLog(path, HEADER)
    for event in EVENTS:
        log.emit(event)
    log.close()
    log.close()
    return path


def test_a_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    reader = Reader(record(tmp_path / "events.jsonl"))
    assert reader.header == HEADER
    assert list(reader) == EVENTS
    assert not reader.torn


def test_a_torn_last_line_is_tolerated_and_reported(tmp_path: Path) -> None:
    path = record(tmp_path / "events.jsonl")
    os.truncate(path, path.stat().st_size - 9)
    reader = Reader(path)
    assert list(reader) == EVENTS[:-1]
    assert reader.torn


def test_any_other_broken_line_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = record(tmp_path / "events.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"garbage\n" + lines[2])
    with pytest.raises(InputError, match=r"events.jsonl:2: not an event"):
        list(Reader(path))


def test_a_file_that_is_no_log_or_of_another_schema_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"schema": "something else"}\n')
    with pytest.raises(InputError, match=r"other.jsonl:1: not the header"):
        Reader(other)
    path = record(tmp_path / "events.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":99', 1))
    with pytest.raises(InputError, match="schema version 99"):
        Reader(path)


def test_an_older_log_is_never_overwritten(tmp_path: Path) -> None:
    record(tmp_path / "events.jsonl")
    with pytest.raises(HeadwayError, match=r"events.jsonl: cannot make the file: File exists"):
        EventLog(tmp_path / "events.jsonl", HEADER)


def test_a_full_disk_is_said_by_flush_and_never_by_emit() -> None:
    lines = JsonLines(Path("/dev/full"), append=True)
    lines.add({"some": "record"})
    with pytest.raises(HeadwayError, match="/dev/full: cannot write: No space left on device"):
        lines.flush()
