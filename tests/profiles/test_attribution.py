import random

from hypothesis import given, settings
from hypothesis import strategies as st

from headway.profiles.attribution import Attribution, Cause
from headway.scheduler import events as ev


def account(
    *events: ev.Event, engines: tuple[str, ...] = ("a", "b"), end: int
) -> dict[str, dict[Cause, int]]:
    attribution = Attribution(engines, 0)
    for event in events:
        attribution.take(event)
    attribution.advance(end)
    return attribution.spent()


def started(t: int, id: str = "x") -> ev.Event:
    return ev.TrajectoryStarted(t=t, trajectory=id, group="g", task="t")


def ready(t: int, id: str = "x") -> ev.Event:
    return ev.TurnReady(t=t, trajectory=id, turn=0, context=1)


def dispatched(t: int, engine: str, id: str = "x") -> ev.Event:
    return ev.TurnDispatched(t=t, trajectory=id, turn=0, engine=engine, reason="new")


def ended(t: int, engine: str, id: str = "x") -> ev.Event:
    return ev.TurnEnded(
        t=t,
        trajectory=id,
        turn=0,
        engine=engine,
        prompt=1,
        cached=0,
        generated=1,
        preemptions=0,
        queue_s=0,
        first_token_s=0,
        first_version=0,
        last_version=0,
        finish="stop",
    )


def over(t: int, id: str = "x") -> ev.Event:
    return ev.TrajectoryEnded(t=t, trajectory=id, status="finished", cause="answer", turns=1, tokens=1)


def test_an_engine_with_a_turn_is_busy_and_the_other_waits_for_the_long_tail() -> None:
    spent = account(started(0), ready(0), dispatched(0, "a"), ended(7, "a"), over(7), end=10)
    assert spent == {"a": {Cause.BUSY: 7, Cause.NO_WORK: 3}, "b": {Cause.LONG_TAIL: 7, Cause.NO_WORK: 3}}


def test_time_in_a_tool_is_tool_wait() -> None:
    spent = account(
        ev.ToolStarted(t=2, trajectory="x", turn=0, tool="python"),
        ev.ToolEnded(t=6, trajectory="x", turn=0, tool="python", status="ok"),
        engines=("a",),
        end=8,
    )
    assert spent == {"a": {Cause.NO_WORK: 4, Cause.TOOL_WAIT: 4}}


def test_a_ready_turn_that_the_scheduler_holds_back_names_its_reason_and_else_it_is_our_lag() -> None:
    spent = account(
        ready(0),
        ev.TurnHeld(t=3, trajectory="x", reason="kv_full"),
        dispatched(10, "a"),
        engines=("a",),
        end=11,
    )
    assert spent == {"a": {Cause.DISPATCH_LAG: 3, Cause.KV_FULL: 7, Cause.BUSY: 1}}


def test_a_queue_inside_another_engine_is_imbalance() -> None:
    spent = account(
        dispatched(0, "a"), ev.EngineLoad(t=0, engine="a", running=1, waiting=4, kv_usage=1.0), end=5
    )
    assert spent["b"] == {Cause.IMBALANCE: 5}


def test_startup_weight_sync_and_death_come_before_everything_else() -> None:
    spent = account(
        ev.EngineChanged(t=0, engine="a", state="starting"),
        ev.EngineChanged(t=2, engine="a", state="ready"),
        dispatched(2, "a"),
        ev.EngineChanged(t=3, engine="a", state="weight_sync"),
        ev.EngineChanged(t=7, engine="a", state="ready"),
        ev.EngineChanged(t=12, engine="a", state="down"),
        engines=("a",),
        end=20,
    )
    assert spent == {"a": {Cause.STARTUP: 2, Cause.WEIGHT_SYNC: 4, Cause.DOWN: 8, Cause.BUSY: 6}}


def test_the_trainers_step_is_named() -> None:
    spent = account(
        ev.PhaseChanged(t=0, phase="training", step=1),
        ev.PhaseChanged(t=5, phase="rollout", step=2),
        engines=("a",),
        end=6,
    )
    assert spent == {"a": {Cause.TRAINING: 5, Cause.NO_WORK: 1}}


def test_a_trajectory_cut_off_in_the_middle_of_a_turn_leaves_its_engine() -> None:
    spent = account(ready(0), dispatched(0, "a"), over(4), engines=("a",), end=9)
    assert spent == {"a": {Cause.BUSY: 4, Cause.NO_WORK: 5}}


def some_event(rng: random.Random, t: int, id: str, engine: str) -> ev.Event:
    makers = [
        lambda: started(t, id),
        lambda: ready(t, id),
        lambda: dispatched(t, engine, id),
        lambda: ended(t, engine, id),
        lambda: over(t, id),
        lambda: ev.TurnHeld(t=t, trajectory=id, reason=rng.choice(["kv_full", "cap", "affinity_hold"])),
        lambda: ev.ToolStarted(t=t, trajectory=id, turn=0, tool="p"),
        lambda: ev.ToolEnded(t=t, trajectory=id, turn=0, tool="p", status="ok"),
        lambda: ev.EngineChanged(
            t=t, engine=engine, state=rng.choice(["starting", "ready", "weight_sync", "down"])
        ),
        lambda: ev.EngineLoad(t=t, engine=engine, running=0, waiting=rng.randrange(3), kv_usage=0.0),
    ]
    return rng.choice(makers)()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 300))
def test_the_causes_of_every_engine_sum_to_the_wall_time_exactly(seed: int, count: int) -> None:
    rng = random.Random(seed)
    engines = ("a", "b", "c")
    attribution = Attribution(engines, 0)
    t = 0
    for _ in range(count):
        t += rng.choice([0, 1, rng.randrange(10**9)])
        attribution.take(some_event(rng, t, f"t{rng.randrange(6)}", rng.choice(engines)))
    attribution.advance(t + 5)
    assert attribution.wall_ns == t + 5
    for causes in attribution.spent().values():
        assert sum(causes.values()) == t + 5
        assert all(isinstance(ns, int) and ns > 0 for ns in causes.values())
