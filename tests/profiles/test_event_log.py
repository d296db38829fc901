import gzip
import os
from pathlib import Path

import pytest

from headway.errors import HeadwayError, InputError
from headway.jsonl import JsonLines
from headway.profiles.event_log import EventLog, Header, Reader
from headway.profiles.found_events import Gap
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
    assert list(reader) == EVENTS
    assert reader.closed
    assert not reader.torn
    assert reader.end == 8


def test_a_compressed_log_reads_the_same_and_a_cut_one_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = record(tmp_path / "events.jsonl").read_bytes()
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(whole))
    assert list(Reader(path)) == EVENTS
    path.write_bytes(gzip.compress(whole)[:-12])
    reader = Reader(path)
    assert list(reader) == EVENTS[: len(list(reader))]
    assert reader.torn


def test_a_torn_last_line_is_tolerated_and_reported(tmp_path: Path) -> None:
    path = record(tmp_path / "events.jsonl")
    mark = len(path.read_bytes().splitlines(keepends=True)[-1])
    os.truncate(path, path.stat().st_size - mark - 9)
    reader = Reader(path)
    assert list(reader) == EVENTS[:-1]
    assert reader.torn
    assert not reader.closed


@pytest.mark.parametrize("instead", [b"", b"garbage\n", b'{"event": "Unheard", "t": 3}\n'])
def test_missing_events_are_a_gap_that_says_from_when_to_when(tmp_path: Path, instead: bytes) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path, HEADER)
    for event in EVENTS:
        log.emit(event)
        log.flush()
    log.close()
    lines = path.read_bytes().splitlines(keepends=True)
    assert b"TurnReady" in lines[3]
    path.write_bytes(b"".join([*lines[:3], instead, *lines[4:]]))
    reader = Reader(path)
    assert list(reader) == [EVENTS[0], Gap(t=6, until=7), EVENTS[2]]
    assert reader.lost == 1
    assert [number for number, _ in reader.unreadable] == ([4] if instead else [])


def test_unreadable_lines_after_the_last_mark_are_a_gap_too(tmp_path: Path) -> None:
    path = record(tmp_path / "events.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"\0" * 20 + b"\n", lines[3]]))
    reader = Reader(path)
    assert list(reader) == [Gap(t=5, until=8), EVENTS[0], EVENTS[2]]
    assert reader.lost == 1


@pytest.mark.parametrize("keep", [3, 12, 25])
def test_a_compressed_log_of_which_nothing_can_be_read_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "events.jsonl.gz"
    whole = gzip.compress(record(tmp_path / "events.jsonl").read_bytes())
    path.write_bytes(whole[:keep] + b"\xff" * 40)
    with pytest.raises(InputError, match=r"events.jsonl.gz"):
        Reader(path)


def test_a_log_of_the_first_version_is_read_and_a_broken_line_of_it_is_a_gap(tmp_path: Path) -> None:
    path = record(tmp_path / "events.jsonl")
    lines = path.read_bytes().replace(b'"version":2', b'"version":1', 1).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert list(Reader(path)) == EVENTS
    path.write_bytes(b"".join([*lines[:2], b"garbage\n", *lines[3:-1]]))
    assert list(Reader(path)) == [EVENTS[0], Gap(t=6, until=8), EVENTS[2]]


def test_a_file_that_is_no_log_or_of_another_schema_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"schema": "something else"}\n')
    with pytest.raises(InputError, match=r"other.jsonl:1: not the header"):
        Reader(other)
    path = record(tmp_path / "events.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"version":2', b'"version":99', 1))
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
