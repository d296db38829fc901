import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.profiles.foreign.fleet_account import FleetAccount
from headway.profiles.foreign.foreign_profile import EngineFigures, ForeignProfile

from .pages import reading

SECOND = 10**9
A, B = "http://a:8000/metrics", "http://b:8000/metrics"
NOTHING = {"running": 0, "waiting": 0, "kv_usage": 0.0}


def watched(*steps: dict[str, dict[str, float] | str], pages: tuple[str, ...] = (A,)) -> ForeignProfile:
    """One step a second; for each page what one engine showed, or why the page could not be read."""
    account = FleetAccount(pages, 0, every_s=1.0)
    for second, step in enumerate(steps):
        for url, shown in step.items():
            if isinstance(shown, str):
                account.miss(url, shown, second * SECOND)
            else:
                account.take(url, [reading(**shown)], second * SECOND)
    return account.profile((len(steps) - 1) * SECOND)


def states(*shown: dict[str, float] | str) -> dict[str, float]:
    """What became of the seconds of one engine."""
    (engine,) = watched(*({A: each} for each in shown)).engines
    return {state: ns / SECOND for state, ns in engine.states.items()}


def one(profile: ForeignProfile, id: str = "a:8000") -> EngineFigures:
    return next(engine for engine in profile.engines if engine.id == id)


def test_time_has_the_state_in_which_the_later_reading_found_the_engine() -> None:
    assert states(
        {**NOTHING},
        {**NOTHING},
        {"running": 3, "waiting": 0, "generated": 6200},
        {"running": 3, "waiting": 0, "generated": 6300},
        {**NOTHING, "generated": 6310},
    ) == {"idle": 2, "busy": 2}


def test_requests_that_wait_for_a_full_cache_are_told_from_others_that_wait() -> None:
    assert states(
        {"generated": 1},
        {"generated": 2, "kv_usage": 0.95},
        {"generated": 3, "kv_usage": 0.5, "preemptions": 40},
        {"generated": 4, "kv_usage": 0.5, "preemptions": 40},
    ) == {"kv_full": 2, "queueing": 1}


def test_an_engine_that_sleeps_or_lets_its_own_queue_wait_is_idle_for_a_reason() -> None:
    profile = watched(*({A: each} for each in [{}, {"awake": 0, **NOTHING}, {"running": 0, "waiting": 2}]))
    assert one(profile).states == {"asleep": SECOND, "blocked": SECOND}
    assert profile.verdict.startswith("nothing ran in 100% of 2 engine-seconds seen")


def test_requests_that_run_and_get_no_token_are_not_called_busy() -> None:
    assert states({}, {}, {"generated": 6131}) == {"no_output": 1, "kv_full": 1}


def test_an_engine_without_requests_is_told_apart_by_whether_another_one_queues() -> None:
    profile = watched(
        {A: NOTHING, B: {"generated": 1, "waiting": 3}},
        {A: NOTHING, B: {"generated": 2, "waiting": 3}},
        {A: NOTHING, B: {"generated": 3, "waiting": 0}},
        {A: NOTHING, B: {"generated": 4, "waiting": 0}},
        pages=(A, B),
    )
    # A is read before B, so its second has what B showed in the reading before.
    assert one(profile).states == {"imbalance": 2 * SECOND, "idle": 1 * SECOND}
    assert "33% while another engine queued" in profile.verdict
    assert "17% for a reason that metrics cannot tell" in profile.verdict


def test_a_queue_of_another_model_is_no_imbalance() -> None:
    account = FleetAccount([A], 0, every_s=1.0)
    for second in range(3):
        queues = reading("1", "other", waiting=3, generated=second)
        account.take(A, [reading(**NOTHING), queues], second * SECOND)
    assert one(account.profile(2 * SECOND), "a:8000 engine 0").states == {"idle": 2 * SECOND}


def test_an_engine_that_cannot_be_read_is_unseen_and_changes_nothing_for_the_others() -> None:
    busy = [{"generated": second, "waiting": 0} for second in range(5)]
    profile = watched(
        {A: busy[0], B: NOTHING},
        {A: busy[1], B: "connection refused"},
        {A: busy[2], B: "connection refused"},
        {A: busy[3], B: NOTHING},
        {A: busy[4], B: NOTHING},
        pages=(A, B),
    )
    assert one(profile).states == {"busy": 4 * SECOND}
    assert one(profile, "b:8000").states == {"unseen": 3 * SECOND, "idle": SECOND}
    assert profile.coverage == pytest.approx(5 / 8)
    assert [(page.readings, page.failed, page.failure) for page in profile.pages] == [
        (5, 0, None),
        (3, 2, "connection refused"),
    ]


def test_an_engine_that_is_on_its_page_no_more_is_unseen() -> None:
    account = FleetAccount([A], 0, every_s=1.0)
    both = [reading("0", **NOTHING), reading("1", **NOTHING)]
    for second, readings in enumerate([both, both, both[:1], both[:1]]):
        account.take(A, readings, second * SECOND)
    gone = one(account.profile(3 * SECOND), "a:8000 engine 1")
    assert gone.states == {"unseen": 2 * SECOND, "idle": SECOND}


def test_a_page_that_never_answers_is_said() -> None:
    assert (
        watched({A: "no route"}, {A: "no route"}).verdict == f"no engine was seen for any time; {A}: no route"
    )


def test_counters_are_added_up_through_a_restart() -> None:
    profile = watched(
        {A: {"generated": 100, "queried": 10, "hit": 0, "preemptions": 1}},
        {A: {"generated": 150, "queried": 20, "hit": 5, "preemptions": 1}},
        {A: {"generated": 30, "queried": 4, "hit": 2, "preemptions": 2}},
        {A: {"generated": 40, "queried": 10, "hit": 8, "preemptions": 2}},
    )
    engine = one(profile)
    assert engine.restarts == 1
    assert engine.states["unseen"] == SECOND
    assert engine.generated == 50 + 40
    assert engine.generated_per_s == pytest.approx(30)
    assert engine.hit_rate == pytest.approx((5 + 8) / (10 + 10))
    assert engine.preemptions == 2


def test_what_can_be_mended_is_ranked_with_where_it_was_seen() -> None:
    waits = [{"generated": second, "waiting": 3, "kv_usage": 0.99} for second in range(3)]
    profile = watched(*({A: NOTHING, B: shown} for shown in waits), pages=(A, B))
    imbalance, full = profile.findings
    assert (full.state, full.ns, full.seen) == (
        "kv_full",
        2 * SECOND,
        "50% of the engine time seen; 100% of that on b:8000",
    )
    assert "more KV cache" in full.lever
    assert imbalance.state == "imbalance"


def test_work_that_no_reading_found_is_said() -> None:
    profile = watched(*({A: {**NOTHING, "generated": g}} for g in (0, 0, 50, 50)))
    assert one(profile).unnoticed_ns == SECOND


def test_readings_too_far_apart_do_not_tell_what_was_between_them() -> None:
    account = FleetAccount([A], 0, every_s=1.0)
    for t in (0, 1, 60):
        account.take(A, [reading(**NOTHING)], t * SECOND)
    assert one(account.profile(60 * SECOND)).states == {"unseen": 59 * SECOND, "idle": SECOND}


def test_batches_and_latencies_are_those_of_the_watch_alone() -> None:
    account = FleetAccount([A], 0, every_s=1.0)
    account.take(A, [reading(generated=0, queue_count=16, queue_sum=0.0)], 0)
    account.take(A, [reading(generated=1, running=2, queue_count=18, queue_sum=9.0)], SECOND)
    account.take(A, [reading(generated=1, running=0, queue_count=18, queue_sum=9.0)], 2 * SECOND)
    engine = one(account.profile(2 * SECOND))
    assert (engine.mean_running, engine.most_running) == (2.0, 5)
    assert engine.latencies["queue"].count == 2
    assert engine.latencies["queue"].mean_s == pytest.approx(4.5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_states_of_every_engine_sum_to_the_wall_exactly(seed: int) -> None:
    rng = random.Random(seed)
    account = FleetAccount([A, B], 5, every_s=1.0)
    now = 5
    samples = [reading(), reading(**NOTHING), reading(awake=0), reading(generated=1), reading(generated=9000)]
    for _ in range(rng.randrange(40)):
        now += rng.choice([0, 1, rng.randrange(5 * SECOND)])
        url = rng.choice([A, B])
        if rng.random() < 0.2:
            account.miss(url, "gone", now)
        else:
            account.take(url, [rng.choice(samples)], now)
    profile = account.profile(now + 7)
    assert profile.wall_ns == now + 2
    for engine in profile.engines:
        assert sum(engine.states.values()) == profile.wall_ns
        assert all(isinstance(ns, int) and ns > 0 for ns in engine.states.values())
