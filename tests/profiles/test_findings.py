from headway.profiles.findings import find
from headway.profiles.profile import Causes, EngineProfile, Finding

S = 10**9


def engine(id: str, causes: Causes, **other: object) -> EngineProfile:
    figures: dict[str, object] = {
        "otherwise": {},
        "under_fill": {},
        "turns": 10,
        "generated": 1000,
        "prompt": 5000,
        "cached": 4000,
        "recomputed": 0,
        "preemptions": 0,
        "seconds_per_token": 0.01,
    }
    return EngineProfile(id=id, causes=causes, **{**figures, **other})  # type: ignore[arg-type]


def found(*engines: EngineProfile, held: Causes | None = None, spent: Causes | None = None) -> list[Finding]:
    return find(engines, 100 * S, held or {}, spent or {})


def test_what_cost_most_comes_first_and_trifles_are_not_told() -> None:
    told = found(
        engine("a", {"busy": 60 * S, "tool_wait": 10 * S, "long_tail": 29 * S, "startup": S // 10}),
        engine("b", {"busy": 80 * S, "tool_wait": 20 * S}),
    )
    assert [(one.cause, one.lost_ns, one.estimated_ns) for one in told] == [
        ("tool_wait", 30 * S, 0),
        ("long_tail", 29 * S, 0),
    ]
    assert told[1].seen == "engines idle for 14% of their time, most on a"


def test_busy_time_in_which_kv_kept_batches_small_counts_and_so_does_recomputation() -> None:
    (told,) = found(
        engine(
            "a",
            {"busy": 100 * S},
            under_fill={"kv_full": 40 * S},
            recomputed=1000,
            preemptions=3,
            mean_running=2.5,
        ),
        held={"kv_full": 70 * S},
    )
    assert (told.cause, told.lost_ns, told.estimated_ns) == ("kv_full", 40 * S, 40 * S)
    assert "turns waited for it during 70% of the run" in told.seen
    assert "ran 2.5 turns, 20% of the prompt tokens were computed again, 3 preemptions" in told.seen
    assert "kv_tokens" in told.lever


def test_time_that_goes_into_what_was_computed_before_is_a_finding_of_its_own() -> None:
    (told,) = found(engine("a", {"busy": 70 * S, "busy_recompute": 30 * S}))
    assert (told.cause, told.lost_ns) == ("busy_recompute", 30 * S)
    assert told.seen.startswith("engines computed for 30% of their time nothing but what had been")


def test_an_event_loop_that_was_held_up_is_our_own_fault_though_engines_were_busy() -> None:
    (told,) = find([engine("a", {"busy": 100 * S})], 100 * S, {}, {}, late_ns=6 * S)
    assert (told.cause, told.lost_ns, told.estimated_ns) == ("dispatch_lag", 6 * S, 6 * S)
    assert told.seen.startswith("the scheduler's event loop was held up for 6.0 s in all")


def test_tools_are_named_by_where_trajectories_spent_their_time() -> None:
    (told,) = found(
        engine("a", {"busy": 50 * S, "tool_wait": 50 * S}),
        spent={"tool:python": 30, "tool:search": 10, "generating": 60},
    )
    assert "spent 40% of their time in tools, most in python (30%)" in told.seen


def test_a_slow_engine_is_charged_with_what_the_others_wait_for_it_at_the_end() -> None:
    told = found(
        engine("a", {"busy": 50 * S, "long_tail": 50 * S}),
        engine("b", {"busy": 50 * S, "long_tail": 50 * S}),
        engine("c", {"busy": 100 * S}, seconds_per_token=0.03),
    )
    assert [(one.cause, one.lost_ns // S) for one in told] == [("slow_engine", 166)]
    assert told[0].seen.startswith("c takes 30 ms a token, 3.0 times as long as the others")


def test_an_engine_with_larger_batches_is_not_slow() -> None:
    told = found(
        engine("a", {"busy": 50 * S, "long_tail": 50 * S}),
        engine("b", {"busy": 100 * S}, seconds_per_token=0.03, generated=4000),
    )
    assert [one.cause for one in told] == ["long_tail"]
