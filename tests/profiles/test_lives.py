import random

import msgspec

from headway.profiles.lives import Lives
from headway.scheduler import events as ev

from .test_attribution import dispatched, ended, over, ready, some_event, started

S = 10**9


def lives(*events: ev.Event) -> Lives:
    lives = Lives(0, keep=2)
    for event in events:
        lives.emit(event)
    return lives


def test_a_life_is_split_into_what_its_trajectory_did_or_waited_for() -> None:
    told = lives(
        started(0),
        ready(2),
        ev.TurnHeld(t=2, trajectory="x", reason="kv_full"),
        dispatched(7, "a"),
        ended(17, "a"),
        ev.ToolStarted(t=18, trajectory="x", turn=0, tool="python"),
        ev.ToolEnded(t=30, trajectory="x", turn=0, tool="python", status="ok"),
        over(31),
    )
    (life,) = told.slowest(40)
    assert life.spent == {"tool:python": 12, "generating": 10, "kv_full": 5, "agent": 4}
    assert (life.start_ns, life.end_ns, life.turns, life.engines) == (0, 31, 1, ["a"])
    assert told.spent == life.spent


def test_of_tools_that_run_at_once_the_one_that_is_still_open_counts() -> None:
    told = lives(
        started(0),
        ev.ToolStarted(t=0, trajectory="x", turn=0, tool="slow"),
        ev.ToolStarted(t=0, trajectory="x", turn=0, tool="quick"),
        ev.ToolEnded(t=1, trajectory="x", turn=0, tool="quick", status="ok"),
        ev.ToolEnded(t=20, trajectory="x", turn=0, tool="slow", status="ok"),
        over(20),
    )
    assert told.spent == {"tool:slow": 20}


def test_a_tool_that_ends_while_a_turn_runs_takes_nothing_from_the_turn() -> None:
    told = lives(
        started(0),
        ev.ToolStarted(t=0, trajectory="x", turn=0, tool="p"),
        dispatched(1, "a"),
        ev.ToolEnded(t=2, trajectory="x", turn=0, tool="p", status="ok"),
        ended(50, "a"),
        over(50),
    )
    assert told.spent == {"tool:p": 1, "generating": 49}


def test_time_in_an_engines_own_queue_is_told_apart() -> None:
    end = ended(10 * S, "a")
    assert isinstance(end, ev.TurnEnded)
    told = lives(started(0), dispatched(0, "a"), msgspec.structs.replace(end, queue_s=4.0), over(10 * S))
    assert told.slowest(0)[0].spent == {"generating": 6 * S, "engine_queue": 4 * S}


def test_the_slowest_come_first_and_the_living_at_their_age() -> None:
    told = lives(started(0, "a"), over(5, "a"), started(5, "b"), over(6, "b"), started(6, "c"))
    assert [(life.id, life.status) for life in told.slowest(30)] == [("c", "live"), ("a", "finished")]


def test_the_parts_of_a_life_sum_to_its_length_whatever_happens() -> None:
    rng = random.Random(4)
    told, t = Lives(0, keep=10**6), 0
    for _ in range(3000):
        t += rng.randrange(10**9)
        told.emit(some_event(rng, t, f"t{rng.randrange(9)}", rng.choice("ab")))
    assert told.finished > 10
    for life in told.slowest(t):
        assert sum(life.spent.values()) == life.end_ns - life.start_ns
