"""Logs held against what the events say of themselves, line by line."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.errors import InputError
from headway.profiles.gpu.sample import GpuSample
from headway.profiles.traces.sessions import sessions_of
from headway.profiles.traces.validate import validate
from headway.scheduler import events as ev
from headway.scheduler.policies import NAMES

from .logs import WORKLOAD, dispatched, end, ended, life, ready, record, start, write
from .test_load import CHAT, lines

ID = "g1.0"
LIFE = life(10, ID, prompt=50)  # lines 2 to 6


@pytest.mark.parametrize("policy", NAMES)
def test_nothing_is_wrong_with_what_a_scheduler_writes(tmp_path: Path, policy: str) -> None:
    record(tmp_path / "events.jsonl", policy=policy)
    done = validate(tmp_path)
    assert (done.problems, done.warnings) == ([], [])
    assert done.lines == len((tmp_path / "events.jsonl").read_bytes().splitlines())


def without(*places: int) -> list[ev.Event]:
    return [event for place, event in enumerate(LIFE) if place not in places]


def then(*events: ev.Event) -> list[ev.Event]:
    return [*LIFE[:-1], *events]


@pytest.mark.parametrize(
    ("events", "line", "problem"),
    [
        ([*LIFE, start(10, "g2.0")], 7, "t goes back by 12 ns"),
        ([*LIFE, start(99, ID)], 7, "trajectory g1.0 starts again"),
        ([*LIFE, end(99, ID)], 7, "TrajectoryEnded of trajectory g1.0, which has ended"),
        (without(0), 2, "TurnReady of trajectory g1.0, which has not started"),
        (without(1), 3, "turn 0 of g1.0 is dispatched, and was not ready"),
        (without(2), 4, "turn 0 of g1.0 ends, and was not dispatched"),
        (without(3), 5, "trajectory g1.0 ends while its turn 0 is under way"),
        (then(ready(50, ID, 0, 60)), 6, "turn 0 of g1.0 is ready, and turn 1 would be next"),
        ([*LIFE[:3], ready(50, ID, 1, 60)], 5, "turn 1 of g1.0 is ready while turn 0 is under way"),
        ([*LIFE[:3], dispatched(50, ID, 0, "e1")], 5, "is dispatched to e1 while it is on e0"),
        ([*LIFE[:3], ended(50, ID, 0, 50, 1, "e1")], 5, "ends on e1, and was dispatched to e0"),
        ([*LIFE[:3], ended(50, ID, 0, 51, 1)], 5, "had 51 prompt tokens, and was ready with 50"),
        ([*LIFE[:3], ended(50, ID, 0, 50, -1)], 5, "has impossible counts"),
        ([*LIFE[:2], dispatched(50, ID, 0, "e7")], 4, "engine e7 is not in the header and has not started"),
        (then(ev.TurnHeld(t=50, trajectory=ID, reason="cap")), 6, "is held, and no turn of it waits"),
        (then(ev.TurnAbandoned(t=50, trajectory=ID, turn=0)), 6, "is abandoned, and was not ready"),
        (
            then(ev.ToolEnded(t=50, trajectory=ID, turn=0, tool="p", status="ok")),
            6,
            "ends, and was not started",
        ),
        (
            then(ev.ToolStarted(t=50, trajectory=ID, turn=0, tool="p"), end(51, ID)),
            7,
            "trajectory g1.0 ends while its tools run: p",
        ),
        (LIFE[:-1], 6, "the log was closed; trajectories without an end: 1"),
    ],
)
def test_what_breaks_a_rule_is_named_with_its_line(
    tmp_path: Path, events: list[ev.Event], line: int, problem: str
) -> None:
    done = validate(write(tmp_path / "events.jsonl", events))
    assert problem in {found.line: found.what for found in done.problems}[line]


def test_engines_may_join_and_samples_of_gpus_may_come_late(tmp_path: Path) -> None:
    joined = ev.EngineChanged(t=1, engine="late", state="starting")
    late = GpuSample(t=0, gpu="0", span_ns=1)
    events = [joined, ev.EngineChanged(t=2, engine="late", state="ready"), late, *LIFE]
    assert validate(write(tmp_path / "events.jsonl", events)).problems == []


def change(path: Path, what: Callable[[list[bytes]], None]) -> Path:
    lines = path.read_bytes().splitlines(keepends=True)
    what(lines)
    path.write_bytes(b"".join(lines))
    return path


def test_a_line_that_is_no_event_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    log = change(write(tmp_path / "events.jsonl", LIFE), lambda lines: lines.insert(6, b"garbage\n"))
    [problem] = validate(log).problems
    assert (problem.line, problem.what[:12]) == (7, "not an event")


def test_events_that_a_mark_counts_and_that_are_not_there_are_missed(tmp_path: Path) -> None:
    held = ev.TurnHeld(t=11, trajectory=ID, reason="cap")
    log = write(tmp_path / "events.jsonl", [*LIFE[:2], held, *LIFE[2:]])
    problems = validate(change(log, lambda lines: lines.__delitem__(3))).problems
    assert [problem.what for problem in problems] == ["events missing before this mark: 1"]


def test_what_a_killed_process_leaves_is_a_warning(tmp_path: Path) -> None:
    log = write(tmp_path / "events.jsonl", LIFE[:4], close=False)
    with log.open("ab") as file:
        file.write(b'{"event":"Traj')
    done = validate(log)
    assert done.problems == []
    assert done.warnings == [
        "line 7, the last, is incomplete: the writer was ended there",
        "the writer was ended before these trajectories: 1",
    ]
    compressed = tmp_path / "events.jsonl.gz"
    compressed.write_bytes(gzip.compress(log.read_bytes())[:-9])
    assert "ends within line" in validate(compressed).warnings[0]


def test_a_log_that_cannot_be_read_is_no_problem_but_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        validate(tmp_path / "none.jsonl")


def test_lines_of_other_formats_are_checked_too(tmp_path: Path) -> None:
    good = list(sessions_of(WORKLOAD))
    sessions = lines(tmp_path / "a", *good, {"id": "x"}, *good)
    [problem] = validate(sessions).problems
    assert (problem.line, problem.what[:22]) == (6, "not a recorded session")
    chats = validate(lines(tmp_path / "b", CHAT, {"messages": []}))
    assert (chats.format, [problem.line for problem in chats.problems]) == ("chats", [2])
