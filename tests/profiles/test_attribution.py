import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.profiles.attribution import Attribution
from headway.profiles.cause import Cause
from headway.profiles.found_events import Gap, Recomputing, Vanished
from headway.profiles.labels import Labels
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
            t=t,
            engine=engine,
            state=rng.choice(["starting", "ready", "ready", "weight_sync", "stalled", "down"]),
        ),
        lambda: ev.EngineLoad(t=t, engine=engine, running=0, waiting=rng.randrange(3), kv_usage=0.0),
        lambda: Recomputing(t=t, trajectory=id, engine=engine, on=rng.random() < 0.6),
        lambda: ev.TurnAbandoned(t=t, trajectory=id, turn=0),
        lambda: ev.PhaseChanged(t=t, phase=rng.choice(["rollout", "training"]), step=0),
        lambda: Gap(t=t, until=t + rng.randrange(10**8)) if rng.random() < 0.1 else started(t, id),
    ]
    return rng.choice(makers)()


def held(t: int, id: str, reason: str) -> ev.Event:
    return ev.TurnHeld(t=t, trajectory=id, reason=reason)


def in_tool(t: int, id: str) -> ev.Event:
    return ev.ToolStarted(t=t, trajectory=id, turn=0, tool="p")


def test_a_busy_engine_whose_turns_all_prefill_again_recomputes() -> None:
    spent = account(
        dispatched(0, "a"),
        dispatched(0, "a", "y"),
        Recomputing(t=1, trajectory="x", engine="a", on=True),
        Recomputing(t=3, trajectory="y", engine="a", on=True),
        Recomputing(t=7, trajectory="x", engine="a", on=False),
        engines=("a",),
        end=10,
    )
    assert spent == {"a": {Cause.BUSY: 6, Cause.BUSY_RECOMPUTE: 4}}


def test_an_engine_that_stands_still_with_turns_is_stalled_and_so_are_those_that_only_wait_for_it() -> None:
    spent = account(
        started(0),
        dispatched(0, "a"),
        ev.EngineChanged(t=4, engine="a", state="stalled"),
        ev.EngineChanged(t=9, engine="a", state="ready"),
        ended(10, "a"),
        over(10),
        end=10,
    )
    assert spent["a"] == {Cause.STALLED: 5, Cause.BUSY: 5}
    assert spent["b"] == {Cause.STALLED: 5, Cause.LONG_TAIL: 5}


def test_time_of_which_events_are_missing_is_unattributed() -> None:
    spent = account(dispatched(2, "a"), Gap(t=3, until=8), ended(9, "a"), end=10)
    assert spent["a"] == {Cause.UNATTRIBUTED: 5, Cause.BUSY: 2, Cause.NO_WORK: 3}


def test_after_a_gap_what_has_vanished_holds_no_engine() -> None:
    spent = account(dispatched(2, "a"), Gap(t=3, until=8), Vanished(t=8, trajectory="x", live=False), end=10)
    assert spent["a"] == {Cause.NO_WORK: 2 + 2, Cause.UNATTRIBUTED: 5, Cause.BUSY: 1}


def test_what_the_scheduler_said_last_of_the_queue_holds_for_all_that_wait() -> None:
    spent = account(
        *(ready(0, "x"), held(0, "x", "kv_full"), ready(2, "y"), held(4, "y", "cap")), engines=("a",), end=9
    )
    assert spent == {"a": {Cause.KV_FULL: 4, Cause.CAP: 5}}


def test_a_queue_is_no_imbalance_where_nobody_idles() -> None:
    attribution = Attribution(("a",), 0)
    load = ev.EngineLoad(t=0, engine="a", running=1, waiting=1, kv_usage=1.0)
    for event in (dispatched(0, "a"), dispatched(0, "a", "y"), load):
        attribution.take(event)
    attribution.advance(5)
    assert attribution.under_fill() == {"a": {}}


def test_an_engine_that_joins_was_down_before() -> None:
    spent = account(dispatched(4, "c"), ended(6, "c"), end=10)
    assert spent["c"] == {Cause.DOWN: 4, Cause.BUSY: 2, Cause.NO_WORK: 4}


def test_idle_time_says_what_the_next_rule_would_have_called_it() -> None:
    attribution = Attribution(("a",), 0)
    for event in (started(0), started(0, "y"), in_tool(0, "x"), ready(0, "y"), held(0, "y", "kv_full")):
        attribution.take(event)
    attribution.advance(5)
    assert attribution.otherwise() == {"a": {Cause.KV_FULL: {Cause.TOOL_WAIT: 5}}}


def test_under_fill_is_busy_time_by_the_share_that_was_kept_away_and_by_what_kept_it() -> None:
    attribution = Attribution(("a",), 0)
    for event in (dispatched(0, "a"), ready(0, "y"), held(0, "y", "kv_full"), ready(0, "z")):
        attribution.take(event)
    attribution.take(ended(9, "a"))
    assert attribution.under_fill() == {"a": {Cause.KV_FULL: 6}}  # two of three turns for 9 ns
    assert attribution.held() == {Cause.KV_FULL: 9}
    assert attribution.batches() == {"a": (9, 1)}


def test_a_label_splits_all_time() -> None:
    attribution = Attribution(("a", "b"), 0)
    phases = Labels(attribution, "rollout")
    attribution.take(dispatched(0, "a"))
    attribution.advance(4)
    phases.change("training")
    attribution.take(ended(6, "a"))
    attribution.advance(7)
    assert phases.spent() == {
        "rollout": {Cause.BUSY: 4, Cause.LONG_TAIL: 4},
        "training": {Cause.BUSY: 2, Cause.LONG_TAIL: 2, Cause.NO_WORK: 2},
    }


def check_sums(
    attribution: Attribution, stretches: dict[str, list[tuple[Cause, int, int]]], end: int
) -> None:
    """Causes sum to the wall, and stretches tile it and say the same."""
    assert attribution.wall_ns == end
    for engine, causes in attribution.spent().items():
        assert sum(causes.values()) == end
        assert all(isinstance(ns, int) and ns > 0 for ns in causes.values())
        sums: defaultdict[Cause, int] = defaultdict(int)
        reached, before = 0, None
        for cause, since, until in stretches[engine]:
            assert since == reached < until
            assert cause is not before
            sums[cause] += until - since
            reached, before = until, cause
        assert reached == end
        assert sums == causes


def play_random(rng: random.Random, count: int, engines: tuple[str, ...]) -> None:
    stretches: defaultdict[str, list[tuple[Cause, int, int]]] = defaultdict(list)
    attribution = Attribution(
        engines, 0, on_interval=lambda e, cause, start, end: stretches[e].append((cause, start, end))
    )
    t = 0
    for _ in range(count):
        t += rng.choice([0, 1, rng.randrange(10**9)])
        attribution.take(some_event(rng, t, f"t{rng.randrange(40)}", rng.choice(engines)))
    attribution.advance(t + 5)
    attribution.close()
    check_sums(attribution, stretches, t + 5)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 300))
def test_the_causes_of_every_engine_sum_to_the_wall_time_exactly(seed: int, count: int) -> None:
    play_random(random.Random(seed), count, ("a", "b", "c"))


@pytest.mark.slow
def test_they_do_so_over_a_million_events_of_eight_engines() -> None:
    play_random(random.Random(1), 10**6, tuple("abcdefgh"))
