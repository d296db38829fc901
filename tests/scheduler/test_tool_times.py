import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.scheduler.tool_times import ENOUGH, KEPT, ToolTimes


def known(waits: list[float]) -> ToolTimes:
    """What has seen these waits, again and again until it knows them."""
    times = ToolTimes()
    for number in range(KEPT):
        times.learn(waits[number % len(waits)])
    return times


def mean_cost(waits: list[float], hold_s: float, break_even: float) -> float:
    return sum(wait if wait <= hold_s else hold_s + break_even for wait in waits) / len(waits)


def test_before_enough_was_seen_a_hold_ends_at_the_break_even() -> None:
    times = ToolTimes()
    for _ in range(ENOUGH - 1):
        times.learn(0.1)
    assert times.hold_s(7.0) == 7.0


def test_tools_that_always_come_back_soon_are_waited_for_and_no_longer_than_the_break_even_beyond_that() -> (
    None
):
    assert known([1.0, 2.0, 3.0]).hold_s(10.0) == 13.0


def test_where_most_are_quick_and_some_hang_the_hold_ends_after_the_quick_ones() -> None:
    assert known([1.0] * 9 + [600.0]).hold_s(10.0) == 1.0


def test_tools_that_all_take_longer_than_the_prefill_is_worth_are_not_waited_for() -> None:
    assert known([60.0, 90.0, 600.0]).hold_s(10.0) == 0.0


def test_what_took_long_once_is_forgotten_when_tools_have_become_quick() -> None:
    times = known([600.0])
    for _ in range(KEPT):
        times.learn(1.0)
    assert times.hold_s(10.0) == 11.0


@given(
    st.lists(st.floats(0, 1000), min_size=1, max_size=32),
    st.floats(0.1, 500),
    st.floats(0, 2000),
)
def test_no_other_time_would_have_cost_less_on_the_waits_that_were_seen(
    waits: list[float], break_even: float, other: float
) -> None:
    waits = (waits * KEPT)[:KEPT]
    times = ToolTimes()
    for wait in waits:
        times.learn(wait)
    held = mean_cost(waits, times.hold_s(break_even), break_even)
    assert held <= mean_cost(waits, other, break_even) * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_on_waits_like_those_seen_it_costs_less_than_ski_rental(seed: int) -> None:
    rng = random.Random(seed)
    seen, new = ([min(rng.lognormvariate(2, 1.5), 60.0) for _ in range(KEPT)] for _ in range(2))
    times = known(seen)
    for break_even in (5.0, 20.0, 40.0):
        ours = mean_cost(new, times.hold_s(break_even), break_even)
        assert ours <= mean_cost(new, break_even, break_even) * 1.02
