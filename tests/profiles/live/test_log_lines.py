from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import InputError
from headway.profiles.event_log import Reader
from headway.profiles.found_events import Gap
from headway.profiles.live.log_lines import LogLines
from headway.scheduler.events import Event

from .logs import SECOND, short_run, write_log

LOG = Path("log")


def read(data: bytes, *, step: int = 1 << 20) -> tuple[list[Event], LogLines]:
    lines = LogLines(LOG)
    events = [event for at in range(0, len(data), step) for event in lines.take(data[at : at + step])]
    return events + list(lines.last()), lines


def test_a_log_is_read_as_a_reader_reads_it_whatever_the_pieces(tmp_path: Path) -> None:
    path = write_log(tmp_path / "events.jsonl", short_run())
    data = path.read_bytes()

    @settings(max_examples=30, deadline=None)
    @given(step=st.integers(1, len(data)))
    def holds(step: int) -> None:
        events, lines = read(data, step=step)
        assert events == list(Reader(path)) == short_run()
        assert lines.header == Reader(path).header
        assert (lines.closed, lines.torn, lines.until) == (True, False, 10 * SECOND)

    holds()


def test_events_are_given_out_when_the_mark_after_them_has_come(tmp_path: Path) -> None:
    data = write_log(tmp_path / "events.jsonl", short_run()).read_bytes()
    before_the_mark = data[: data.index(b'{"event":"Mark"')]
    lines = LogLines(LOG)
    assert list(lines.take(before_the_mark)) == []
    assert lines.until == 0
    assert list(lines.take(data[len(before_the_mark) :])) == short_run()
    assert lines.until == 10 * SECOND


def test_a_line_that_is_missing_or_unreadable_makes_a_gap(tmp_path: Path) -> None:
    lines = write_log(tmp_path / "events.jsonl", short_run()).read_bytes().splitlines(keepends=True)
    for damaged in ([*lines[:3], *lines[4:]], [*lines[:3], b"\xff{\n", *lines[4:]]):
        events, read_lines = read(b"".join(damaged))
        assert events == [Gap(t=0, until=10 * SECOND), *short_run()[:2], *short_run()[3:]]
        assert read_lines.lost == 1


def test_a_log_of_the_first_version_has_no_marks_and_is_given_out_at_once(tmp_path: Path) -> None:
    whole = write_log(tmp_path / "events.jsonl", short_run()).read_bytes()
    old = whole[: whole.index(b'{"event":"Mark"')].replace(b'"version":2', b'"version":1')
    lines = LogLines(LOG)
    assert list(lines.take(old)) == short_run()
    assert lines.until == 10 * SECOND


def test_what_is_no_log_is_refused_by_its_first_line() -> None:
    with pytest.raises(InputError, match="log:1: not the header of an event log"):
        list(LogLines(LOG).take(b'{"event":"Mark"}\n'))
    header = (
        b'{"schema":"headway.events","version":3,"t":0,"wall_ns":0,"engines":[],"model":"","policy":""}\n'
    )
    with pytest.raises(InputError, match="schema version 3; this headway reads 1 and 2"):
        list(LogLines(LOG).take(header))
