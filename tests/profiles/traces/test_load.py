"""Traces of any format, told apart by what is in them."""

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from headway.errors import InputError
from headway.profiles.traces import TraceOptions, load_trace
from headway.profiles.traces.llmservingsim import llmservingsim_of
from headway.profiles.traces.sessions import sessions_of

from .logs import WORKLOAD, life, record, write

CHAT = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]}


def lines(path: Path, *objects: object) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in objects))
    return path


def test_a_log_and_its_folder_are_runs_whatever_they_are_called(tmp_path: Path) -> None:
    record(tmp_path / "events.jsonl")
    folder = load_trace(tmp_path)
    assert folder.format == "headway"
    assert folder.recorded is not None
    (tmp_path / "other").mkdir()
    compressed = tmp_path / "other" / "some.thing"
    compressed.write_bytes(gzip.compress((tmp_path / "events.jsonl").read_bytes()))
    assert load_trace(compressed).workload.groups == folder.workload.groups


def test_other_formats_are_told_by_their_keys(tmp_path: Path) -> None:
    served = load_trace(lines(tmp_path / "a", *llmservingsim_of(WORKLOAD)))
    sessions = load_trace(lines(tmp_path / "b", *sessions_of(WORKLOAD)))
    chats = load_trace(lines(tmp_path / "c", CHAT), options=TraceOptions(latency=("constant:1",)))
    flat = load_trace(lines(tmp_path / "d", {"input_toks": 5, "output_toks": 5, "arrival_time_ns": 0}))
    formats = [trace.format for trace in (served, sessions, chats, flat)]
    assert formats == ["llmservingsim", "sessions", "chats", "llmservingsim"]
    assert served.workload.groups == sessions.workload.groups
    assert {trace.recorded for trace in (served, sessions, chats, flat)} == {None}


def test_limits_are_applied_and_begins_stay_with_their_groups(tmp_path: Path) -> None:
    record(tmp_path / "events.jsonl")
    write(tmp_path / "events-2.jsonl", [*life(0, "g1.0", prompt=500), *life(100, "g2.0", prompt=50)])
    loaded = load_trace(tmp_path, options=TraceOptions(max_context=100))
    assert loaded.workload.max_context == 100
    assert loaded.recorded is not None
    assert loaded.recorded.begun_s == [100e-9]
    whole = load_trace(tmp_path, options=TraceOptions(attempt=1, clip_s=1.0)).workload
    assert max(turn.tool_s for group in whole.groups for s in group.scripts for turn in s.turns) == 1.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "x: is empty; headway reads its own"),
        ("hello\n", r"x:1: not a line of JSON \(b'hello"),
        ("\n[1]\n", "x:2: a JSON list and not an object"),
        ('{"b": 1, "a": 2}\n', "x:1: an object with the keys a, b; headway reads its own"),
        ('{"schema": "headway.events", "wall_ns": 1, "version": 77}\n', "x:1: not the header"),
    ],
)
def test_what_is_no_trace_is_said_with_what_was_seen(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(InputError, match=said):
        load_trace(tmp_path / "x")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: cannot read it: No such file"):
        load_trace(tmp_path / "none")
    with pytest.raises(InputError, match="no event log"):
        load_trace(tmp_path)


def test_options_that_a_format_has_no_use_for_are_refused(tmp_path: Path) -> None:
    sessions = lines(tmp_path / "b", *sessions_of(WORKLOAD))
    with pytest.raises(InputError, match="--latency and --tokenizer are for chats"):
        load_trace(sessions, options=TraceOptions(latency=("constant:1",)))
    with pytest.raises(InputError, match="an attempt is chosen of a run folder"):
        load_trace(sessions, options=TraceOptions(attempt=2))


def test_a_trace_has_notes_in_every_format(tmp_path: Path) -> None:
    record(tmp_path / "events.jsonl")
    for path in (tmp_path, lines(tmp_path / "b", *sessions_of(WORKLOAD))):
        assert load_trace(path).workload.notes
    assert json.loads(msgspec.json.encode(load_trace(tmp_path)))["format"] == "headway"
