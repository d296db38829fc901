"""A recorded run as a workload, from its event log."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.errors import InputError
from headway.profiles.event_log import Reader
from headway.profiles.traces.run import read_run
from headway.profiles.workload import Script, ScriptedGroup, ScriptedTurn, Workload
from headway.scheduler import events as ev

from .logs import (
    LONG,
    SHORT,
    WORKLOAD,
    dispatched,
    end,
    ended,
    life,
    ready,
    record,
    start,
    write,
)

TURNS = st.lists(
    st.builds(ScriptedTurn, st.integers(1, 30), st.integers(0, 24).map(lambda n: n / 8), st.integers(0, 60)),
    min_size=1,
    max_size=4,
).map(lambda turns: [*turns[:-1], ScriptedTurn(turns[-1].generated)])
GROUPS = st.lists(
    st.builds(ScriptedGroup, st.integers(1, 200), st.lists(TURNS.map(Script), min_size=1, max_size=3)),
    min_size=1,
    max_size=4,
)


def same(read: Workload, played: Workload) -> None:
    """The same lengths, and times to the nanosecond."""
    assert read.system == played.system
    assert [group.prompt for group in read.groups] == [group.prompt for group in played.groups]
    for mine, other in zip(read.groups, played.groups, strict=True):
        assert (mine.after, mine.delay_s) == (other.after, pytest.approx(other.delay_s, abs=2e-9))
        for script, scripted in zip(mine.scripts, other.scripts, strict=True):
            lengths = [(turn.generated, turn.observed) for turn in script.turns]
            assert lengths == [(turn.generated, turn.observed) for turn in scripted.turns]
            waits = [turn.tool_s for turn in script.turns]
            assert waits == pytest.approx([turn.tool_s for turn in scripted.turns], abs=2e-9)


@given(groups=GROUPS, policy=st.sampled_from(["headroom", "sticky_least_loaded", "static"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_played_is_what_is_read(tmp_path: Path, groups: list[ScriptedGroup], policy: str) -> None:
    played = Workload(name="events", groups=groups, max_context=1024, turn_limit=64)
    log = tmp_path / "events.jsonl"
    log.unlink(missing_ok=True)
    result = record(log, played, policy)
    read, recorded = read_run(log)
    read.check()
    same(read, played)
    assert recorded.generated == result.generated
    assert recorded.turns == result.turns
    assert (recorded.prompt, recorded.cached) == (result.prompt_tokens, result.cached_tokens)
    assert recorded.last_turn_s == pytest.approx(result.makespan_s, abs=2e-9)


def test_groups_that_begin_as_others_complete_do_so_again(tmp_path: Path) -> None:
    groups = [*WORKLOAD.groups, ScriptedGroup(80, [LONG], 2, 1.5), ScriptedGroup(70, [SHORT], 3, 0.0)]
    played = Workload(name="events", groups=groups, max_context=1024, turn_limit=64)
    record(tmp_path / "events.jsonl", played)
    read, recorded = read_run(tmp_path / "events.jsonl")
    same(read, played)
    assert recorded.begun_s[2] == pytest.approx(recorded.begun_s[3] - _length(tmp_path, "g3.0"))


def test_a_replay_under_the_same_limits_is_the_run(tmp_path: Path) -> None:
    refills = [ScriptedGroup(80 + n, [SHORT, LONG], n, 0.25) for n in range(5)]
    record(tmp_path / "events.jsonl", Workload(name="w", groups=refills, max_context=1024, turn_limit=64))
    read, recorded = read_run(tmp_path / "events.jsonl")
    record(tmp_path / "again.jsonl", msgspec.structs.replace(read, max_context=1024, turn_limit=64))
    again, recorded_again = read_run(tmp_path / "again.jsonl")
    assert recorded_again.makespan_s == pytest.approx(recorded.makespan_s, abs=1e-6)
    assert recorded_again.begun_s == pytest.approx(recorded.begun_s, abs=1e-6)
    assert [group.after for group in again.groups] == [group.after for group in read.groups]


def _length(tmp_path: Path, id: str) -> float:
    times = [event.t for event in Reader(tmp_path / "events.jsonl") if getattr(event, "trajectory", "") == id]
    return (times[-1] - times[0]) / 1e9


def test_a_turn_that_is_given_up_and_made_ready_again_is_one_turn(tmp_path: Path) -> None:
    log = write(
        tmp_path / "events.jsonl",
        [
            start(0, "g1.0"),
            ready(0, "g1.0", 0, 100),
            dispatched(0, "g1.0", 0),
            ended(1_000_000_000, "g1.0", 0, 100, 10),
            ready(3_000_000_000, "g1.0", 1, 150),
            dispatched(3_000_000_000, "g1.0", 1, "e1"),
            ev.TurnAbandoned(t=4_000_000_000, trajectory="g1.0", turn=1),
            ready(4_000_000_000, "g1.0", 1, 150),
            dispatched(4_000_000_000, "g1.0", 1),
            ended(5_000_000_000, "g1.0", 1, 150, 7),
            end(5_000_000_000, "g1.0", turns=2),
        ],
    )
    workload, recorded = read_run(log)
    assert workload.groups == [
        ScriptedGroup(100, [Script([ScriptedTurn(10, 2.0, 40), ScriptedTurn(7)])], 0, 0.0)
    ]
    assert recorded.turns == 2
    assert recorded.tokens_per_s == 17 / 5


def test_what_all_groups_first_prompts_begin_with_is_the_system_prompt(tmp_path: Path) -> None:
    log = write(
        tmp_path / "events.jsonl",
        [
            *life(0, "g1.0", prompt=200, blocks=["a", "b", "c"]),
            *life(20, "g2.0", prompt=260, blocks=["a", "b", "x", "y"]),
        ],
    )
    workload, _ = read_run(log)
    assert workload.system == 128
    assert [group.prompt for group in workload.groups] == [72, 132]


def test_a_single_group_shares_its_prompt_with_nobody(tmp_path: Path) -> None:
    log = write(tmp_path / "events.jsonl", life(0, "g1.0", prompt=200, blocks=["a", "b", "c"]))
    workload, _ = read_run(log)
    assert (workload.system, workload.groups[0].prompt) == (0, 200)


def test_trajectories_that_cannot_be_played_are_left_out_and_counted(tmp_path: Path) -> None:
    log = write(
        tmp_path / "events.jsonl",
        [
            *life(0, "g1.0", prompt=50),
            start(20, "g1.1"),
            end(21, "g1.1", turns=0, failed=True),
            start(22, "g2.0"),
            ready(22, "g2.0", 0, 60),
            *life(30, "g3.0", prompt=70),
        ],
        close=False,
    )
    workload, recorded = read_run(log)
    assert [group.prompt for group in workload.groups] == [50, 70]
    assert workload.groups[1].after == 1
    assert recorded.trajectories == 2
    assert "trajectories that ended before a turn of theirs did (1)" in workload.notes
    assert "trajectories without an end (1)" in workload.notes


def test_trajectories_that_lived_while_events_were_lost_are_left_out(tmp_path: Path) -> None:
    log = write(tmp_path / "events.jsonl", [*life(0, "g1.0", prompt=50), *life(20, "g2.0", prompt=60)])
    lines = log.read_bytes().splitlines(keepends=True)
    lines.insert(6, b'{"event":"Mark","t":13,"events":5,"last":false}\n')
    lost = next(n for n, line in enumerate(lines) if b"TurnReady" in line and b"g2.0" in line)
    log.write_bytes(b"".join(lines[:lost] + lines[lost + 1 :]))
    workload, _ = read_run(log)
    assert [group.prompt for group in workload.groups] == [50]
    assert "trajectories of which events are lost (1)" in workload.notes
    assert "events known to be missing: 1" in workload.notes


def test_siblings_whose_prompts_differ_are_groups_of_their_own(tmp_path: Path) -> None:
    log = write(
        tmp_path / "events.jsonl",
        [*life(0, "g1.0", prompt=50), *life(20, "g1.1", prompt=90), *life(40, "g2.0", prompt=50)],
    )
    workload, _ = read_run(log)
    assert [(group.prompt, group.after) for group in workload.groups] == [(50, 0), (90, 0), (50, 2)]
    assert "prompts of other lengths: 1" in workload.notes


def test_of_a_run_folder_the_last_attempt_is_read_unless_another_is_named(tmp_path: Path) -> None:
    run = tmp_path / "mine"
    run.mkdir()
    write(run / "events.jsonl", life(0, "g1.0", prompt=50))
    write(run / "events-2.jsonl", life(0, "g1.0", prompt=70))
    workload, recorded = read_run(run)
    assert (workload.name, workload.groups[0].prompt) == ("mine", 70)
    assert workload.notes.startswith("attempt 2 of 2 of mine")
    assert recorded.log == str(run / "events-2.jsonl")
    assert read_run(run, attempt=1)[0].groups[0].prompt == 50


def test_a_trajectory_that_goes_on_from_an_earlier_attempt_has_what_it_had_as_its_prompt(
    tmp_path: Path,
) -> None:
    log = write(
        tmp_path / "events.jsonl",
        [
            start(0, "g1.0"),
            ready(0, "g1.0", 3, 900),
            dispatched(0, "g1.0", 3),
            ended(9, "g1.0", 3, 900, 4),
            end(9, "g1.0", turns=4),
        ],
    )
    workload, _ = read_run(log)
    assert workload.groups == [ScriptedGroup(900, [Script([ScriptedTurn(4)])])]
    assert "with what they had as their prompt: 1" in workload.notes


def test_what_the_run_itself_measured_is_told_with_its_engines(tmp_path: Path) -> None:
    engine = ev.EngineStarted(
        t=0, engine="e0", kind="vllm", version="1", device="cpu", kv_tokens=9, block_size=16, max_context=2048
    )
    changed = ev.EngineChanged(t=1, engine="e0", state="weight_sync", weight_version=1)
    log = write(tmp_path / "events.jsonl", [engine, changed, *life(2_000_000_000, "g1.0", prompt=50)])
    workload, recorded = read_run(log)
    assert recorded.engines == [engine]
    assert recorded.engine_ids == ["e0", "e1"]
    assert (recorded.model, recorded.policy) == ("m", "headroom")
    assert (recorded.makespan_s, recorded.last_turn_s) == (12e-9, 11e-9)
    assert workload.max_context == 2048
    assert "new weights are not replayed" in workload.notes


def test_a_log_with_nothing_to_play_is_refused_with_why(tmp_path: Path) -> None:
    log = write(tmp_path / "events.jsonl", [start(0, "g1.0")], close=False)
    with pytest.raises(InputError, match=r"nothing to play: left out: trajectories without an end \(1\)"):
        read_run(log)


def test_every_event_of_a_played_log_is_taken(tmp_path: Path) -> None:
    record(tmp_path / "events.jsonl")
    kinds = Counter(type(event).__name__ for event in Reader(tmp_path / "events.jsonl"))
    _, recorded = read_run(tmp_path / "events.jsonl")
    assert recorded.turns == kinds["TurnEnded"]
    assert recorded.trajectories == kinds["TrajectoryStarted"]
