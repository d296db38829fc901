import math

import msgspec
import pytest

from headway.sandbox.bench.arrivals import poisson_arrivals
from headway.sandbox.bench.plan import rotated

from .bench_rows import PLAN


def test_arrivals_are_poisson_at_their_rate() -> None:
    times = poisson_arrivals(50.0, "seed", seconds=200.0)
    gaps = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(1 / 50, rel=0.05)
    assert math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) == pytest.approx(mean, rel=0.05)
    assert times == sorted(times)
    assert times[-1] < 200.0


def test_the_same_seed_gives_the_same_arrivals_scaled() -> None:
    slow = poisson_arrivals(1.0, "seed", seconds=1.0, count=20)
    assert poisson_arrivals(10.0, "seed", seconds=1.0, count=20) == pytest.approx([t / 10 for t in slow])
    assert poisson_arrivals(1.0, "other", seconds=1.0, count=20) != slow


def test_there_is_one_arrival_at_least() -> None:
    assert len(poisson_arrivals(1e-6, "seed", seconds=1.0)) == 1


def test_every_round_begins_with_another_executor() -> None:
    assert [rotated("abc", number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
    assert rotated([], 3) == []


def test_an_executor_is_not_offered_more_than_it_can_do() -> None:
    plan = msgspec.structs.replace(PLAN, rate=100.0)
    assert plan.why_no_open_loop(200.0) is None
    why_not = plan.why_no_open_loop(90.0)
    assert why_not is not None
    assert "at 90 calls/s, 100 arrivals/s only let its queue grow" in why_not
    assert PLAN.why_no_open_loop(90.0) is None
    assert PLAN.arrival_rate(90.0) == pytest.approx(54.0)


def test_a_burst_that_would_take_too_long_is_left_out_and_says_how_to_have_it() -> None:
    assert PLAN.why_no_burst(1024, 100.0) is None
    why_not = PLAN.why_no_burst(45_000, 100.0)
    assert why_not is not None
    assert "it would take 450 s" in why_not
    assert "--seconds 23" in why_not
    assert msgspec.structs.replace(PLAN, seconds=23.0).why_no_burst(45_000, 100.0) is None


def test_a_plan_counts_its_measurements() -> None:
    assert PLAN.measurements == 2 * 1 * (4 + 3 + 1)
    assert msgspec.structs.replace(PLAN, executors=["subprocess"]).measurements == 2 * (1 + 1)
