import pytest

from headway.profiles.cause import Cause
from headway.profiles.live.live_run import LiveRun
from headway.profiles.verdict import idle_sentence
from headway.scheduler import events as ev

from .logs import SECOND, dispatched, ended, header, held, over, ready, short_run, started, tool


def live(*events: ev.Event, until: float = 0.0) -> LiveRun:
    run = LiveRun(header())
    for event in events:
        run.emit(event)
    run.advance(round(until * SECOND))
    return run


def test_the_causes_of_every_engine_sum_to_the_wall_so_far() -> None:
    now = live(*short_run(), until=12).snapshot()
    assert now.wall_ns == 12 * SECOND
    assert now.spent["a"] == {
        Cause.BUSY: 5 * SECOND,
        Cause.KV_FULL: 1 * SECOND,
        Cause.TOOL_WAIT: 3 * SECOND,
        Cause.AGENT: 1 * SECOND,
        Cause.NO_WORK: 2 * SECOND,
    }
    assert sum(now.spent["b"].values()) == 12 * SECOND


def test_the_verdict_names_the_idle_share_and_what_took_most_of_it() -> None:
    now = live(*short_run(), until=10).snapshot()
    # Of 20 engine-seconds 5 are busy; the other engine waits 5 s for the long tail.
    assert idle_sentence(now.spent.values()) == "75% of 20 engine-seconds idle, 40% of that tool wait"
    assert idle_sentence([]) == "nothing was recorded"


def test_every_live_trajectory_is_in_one_place() -> None:
    now = live(
        *(started(0, id) for id in "uvwxy"),
        *(ready(0, id) for id in "uvw"),
        held(0, "cap", "u"),
        held(0, "kv_full", "v"),
        dispatched(0, "a", "w"),
        tool(1, 2, "x")[0],
    ).snapshot()
    assert (now.generating, now.ready, now.tools, now.agents) == (1, {"kv_full": 2}, 1, 1)
    assert now.live == 5
    assert [engine.running for engine in now.engines] == [1, 0]


def test_engines_are_counted_by_their_events() -> None:
    load = ev.EngineLoad(t=SECOND, engine="a", running=1, waiting=0, kv_usage=0.5, generated=7)
    run = live(
        *short_run()[:4], load, ev.EngineChanged(t=SECOND, engine="a", state="ready", weight_version=3)
    )
    (engine, other) = run.snapshot().engines
    assert (engine.kv_usage, engine.written, engine.weight_version) == (0.5, 7, 3)
    assert (other.kv_usage, other.written, other.weight_version) == (0.0, 0, None)
    (engine, other) = live(*short_run(), over(10, "y")).snapshot().engines
    assert (engine.turns, engine.generated, engine.preemptions, engine.running) == (2, 200, 2, 0)
    # Usage is that of turns on the engine, and an idle engine says nothing more of itself.
    assert live(*short_run(), load).snapshot().engines[0].kv_usage == 0.0


def test_the_last_minute_is_told_apart_from_the_run() -> None:
    run = LiveRun(header())
    run.emit(started(0))
    for second in range(0, 300, 10):  # a turn of 1 s every 10 s, then four minutes of nothing
        run.emit(ready(second, turn=second))
        run.emit(dispatched(second, turn=second))
        run.emit(ended(second + 1, turn=second, generated=60))
    for second in range(300, 540):
        run.advance(second * SECOND)
    now = run.snapshot()
    minute = run.last_minute(now)
    assert now.spent["a"][Cause.BUSY] == 30 * SECOND
    assert 60 * SECOND <= minute.wall_ns <= 66 * SECOND
    assert minute.spent["a"] == {Cause.AGENT: minute.wall_ns}
    assert minute.per_s("a") == 0


def test_tokens_are_counted_by_the_second_and_an_engine_that_began_anew_does_not_go_back() -> None:
    run = LiveRun(header())
    run.emit(ready(0))
    run.emit(dispatched(0))
    for second, written in ((1, 100), (5, 500), (9, 20)):
        run.emit(
            ev.EngineLoad(
                t=second * SECOND, engine="a", running=1, waiting=0, kv_usage=0.1, generated=written
            )
        )
        if second == 5:
            assert run.last_minute(run.snapshot()).per_s("a") == pytest.approx(100)
    assert run.last_minute(run.snapshot()).per_s("a") == pytest.approx(20 / 9)


def test_the_eldest_are_told_with_what_they_do_and_since_when() -> None:
    run = live(
        started(0, "x"),
        started(1, "y"),
        started(2, "z"),
        started(3, "w"),
        ready(4, "x"),
        held(6, "kv_full", "x"),
        ready(5, "y"),
        dispatched(7, "b", "y"),
        over(8, "z"),
        tool(9, 9, "w", name="search")[0],
    )
    told = [(elder.id, elder.doing, elder.since / SECOND, elder.turns) for elder in run.eldest(3)]
    assert told == [
        ("x", "ready, held back: kv full", 4, 0),
        ("y", "on b", 7, 0),
        ("w", "in search", 9, 0),
    ]
    run.emit(ended(10, "b", "y"))
    assert run.eldest(2)[1].turns == 1
    assert run.eldest(2)[1].doing == "in its agent"


def test_of_tools_that_run_at_once_the_eldest_is_in_the_one_that_is_still_open() -> None:
    slow, quick = tool(1, 9, "x", name="slow"), tool(1, 2, "x", name="quick")
    run = live(started(0, "x"), slow[0], *quick)
    assert run.eldest(1)[0].doing == "in slow"


def test_a_tool_that_ends_while_a_turn_runs_leaves_the_eldest_on_its_engine() -> None:
    began, over = tool(1, 3, "x", name="slow")
    run = live(started(0, "x"), began, ready(2, "x"), dispatched(2, "a", "x"), over)
    assert run.eldest(1)[0].doing == "on a"


def test_an_engine_that_no_header_named_joins() -> None:
    now = live(started(0), ready(0), dispatched(2, "new"), until=5).snapshot()
    assert now.spent["new"] == {Cause.DOWN: 2 * SECOND, Cause.BUSY: 3 * SECOND}
