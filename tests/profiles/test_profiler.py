from pathlib import Path

import pytest

from headway.engine.simulated import SimulatedEngine
from headway.errors import InputError
from headway.profiles.closed_loop import play
from headway.profiles.event_log import EventLog, Header
from headway.profiles.profile import Profile
from headway.profiles.profiler import profile_log
from headway.profiles.run_logs import event_log
from headway.profiles.virtual_time import run_virtual
from headway.scheduler import make_policy

from .test_closed_loop import HARDWARE, WORKLOAD


def recorded(path: Path, *, kv_tokens: int = 4096) -> Path:
    engines = [SimulatedEngine(HARDWARE, id=f"e{n}", kv_tokens=kv_tokens) for n in range(2)]
    log = EventLog(path, Header(t=0, wall_ns=0, engines=["e0", "e1"], model="m", policy="headroom"))
    run_virtual(play(WORKLOAD, engines, make_policy("headroom"), sink=log))
    log.close()
    return path


def check_sums(profile: Profile) -> None:
    for engine in profile.engines:
        assert sum(engine.causes.values()) == profile.wall_ns
        for cause, others in engine.otherwise.items():
            assert sum(others.values()) == engine.causes[cause]
    everything = profile.wall_ns * len(profile.engines)
    for split in (profile.phases, profile.stages):
        assert sum(sum(causes.values()) for causes in split.values()) == everything


def test_a_profile_accounts_for_all_time_and_all_work(tmp_path: Path) -> None:
    profile = profile_log(recorded(tmp_path / "events.jsonl"))
    check_sums(profile)
    assert (profile.trajectories, profile.finished, profile.failed) == (5, 5, 0)
    assert profile.turns == 12
    assert profile.generated == WORKLOAD.generated
    assert set(profile.stages) <= {"ramp", "steady", "drain"}
    assert profile.complete
    assert profile.notes == []
    assert "tool wait" in profile.verdict
    assert len(profile.slowest) == 5
    assert sum(profile.spent.values()) == sum(life.end_ns - life.start_ns for life in profile.slowest)


def test_a_profile_of_a_damaged_log_says_what_is_missing(tmp_path: Path) -> None:
    path = recorded(tmp_path / "events.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:10], *lines[14:-1]]) + lines[-1][:9])
    profile = profile_log(path)
    check_sums(profile)
    assert not profile.complete
    assert any("the last line is torn" in note for note in profile.notes)


def test_missing_events_are_unattributed_time(tmp_path: Path) -> None:
    path = recorded(tmp_path / "events.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:10], *lines[14:]]))
    profile = profile_log(path)
    check_sums(profile)
    assert "4 events are missing; the time around them is unattributed" in profile.notes
    assert all(engine.causes["unattributed"] > 0 for engine in profile.engines)


def test_an_empty_log_has_a_profile(tmp_path: Path) -> None:
    header = Header(t=0, wall_ns=0, engines=["a"], model="m", policy="p")
    EventLog(tmp_path / "events.jsonl", header).close()
    profile = profile_log(tmp_path / "events.jsonl")
    assert profile.verdict == "nothing was recorded"


def test_of_a_run_the_last_attempt_is_meant_unless_one_is_named(tmp_path: Path) -> None:
    for name in ("events.jsonl", "events-2.jsonl", "events-10.jsonl.gz"):
        (tmp_path / name).touch()
    assert event_log(tmp_path).name == "events-10.jsonl.gz"
    assert event_log(tmp_path, 2).name == "events-2.jsonl"
    with pytest.raises(InputError, match="has no attempt 3; there are 1, 2, 10"):
        event_log(tmp_path, 3)
    with pytest.raises(InputError, match=r"no event log \(events.jsonl\) is in this folder"):
        event_log(tmp_path.parent / tmp_path.name / "..")
    with pytest.raises(InputError, match="there is no such run folder"):
        event_log(tmp_path / "none")
