"""What is in a log, in figures."""

import os
from pathlib import Path

import pytest

from headway.profiles.traces.contents import contents_of
from headway.profiles.traces.log_contents import look_through

from .logs import WORKLOAD, end, life, record, start, write


def test_a_played_log_has_the_workloads_figures(tmp_path: Path) -> None:
    result = record(tmp_path / "events.jsonl")
    log = look_through(tmp_path)
    assert (log.groups, log.trajectories, log.finished, log.failed, log.live) == (2, 5, 5, 0, 0)
    assert (log.turns, log.generated, log.prompt) == (12, WORKLOAD.generated, result.prompt_tokens)
    assert log.cached == result.cached_tokens
    assert log.tools["sleep"].count == 7
    assert log.tools["sleep"].largest == pytest.approx(2.0)
    assert log.tools["sleep"].total == pytest.approx(3 * 2.0 + 2 * 0.75)
    assert log.turns_of_trajectory.p50 == 2
    assert log.generated_of_turn.largest == 50
    assert log.events["TurnEnded"] == 12
    assert log.span_s == pytest.approx(result.makespan_s)
    assert (log.version, log.model, log.policy, log.engine_ids) == (2, "m", "headroom", ["e0", "e1"])
    assert (log.closed, log.torn, log.lost, log.gaps) == (True, False, 0, 0)


def test_what_is_missing_is_counted(tmp_path: Path) -> None:
    events = [*life(0, "g1.0", prompt=9), start(20, "g2.0"), end(21, "g2.0", failed=True), start(22, "g3.0")]
    log = write(tmp_path / "events.jsonl", events, close=False)
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:3], b"?\n", *lines[4:], b'{"event"']))
    found = look_through(log)
    assert (found.trajectories, found.failed, found.live) == (3, 1, 1)
    assert (found.closed, found.torn, found.lost, found.gaps) == (False, True, 1, 1)
    assert found.unreadable[0][0] == 4


def test_the_attempts_of_a_run_are_told(tmp_path: Path) -> None:
    for name in ("events.jsonl", "events-2.jsonl"):
        write(tmp_path / name, life(0, "g1.0", prompt=9))
    assert look_through(tmp_path).attempts == [1, 2]
    assert look_through(tmp_path, attempt=1).log == os.fspath(tmp_path / "events.jsonl")


def test_a_workload_has_its_spreads_and_no_waits_where_they_mean_nothing(tmp_path: Path) -> None:
    contents = contents_of(WORKLOAD, tmp_path, "sessions", timed=True)
    assert (contents.trajectories, contents.turns, contents.generated) == (5, 12, WORKLOAD.generated)
    assert contents.prompt_of_turn.largest == 202
    assert contents.context_of_trajectory.largest == 230
    assert contents.waits is not None
    assert contents.waits.count == 7
    assert contents_of(WORKLOAD, tmp_path, "chats", timed=False).waits is None
