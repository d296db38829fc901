import random
import statistics

import pytest

from headway.scheduler.forecast import GROUPS, GrowthForecast
from headway.scheduler.trajectory import Trajectory


def test_before_anything_is_known_half_of_the_limit_is_expected() -> None:
    mean, variance = GrowthForecast().growth(0, 100)
    assert mean == pytest.approx(50)
    assert variance >= 25**2


def test_with_many_observations_the_forecast_is_their_mean_and_variance() -> None:
    forecast = GrowthForecast()
    seen = [10, 30, 20, 40] * 500
    for tokens in seen:
        forecast.learn(1, tokens)
    mean, variance = forecast.growth(1, 4096)
    assert mean == pytest.approx(statistics.mean(seen), rel=0.05)
    assert variance == pytest.approx(statistics.pvariance(seen), rel=0.3)


def test_a_turn_never_seen_leans_on_the_others() -> None:
    forecast = GrowthForecast()
    for _ in range(1000):
        forecast.learn(0, 20)
    assert forecast.growth(7, 4096)[0] == pytest.approx(20, rel=0.5)


def a_trajectory(turn: int = 0, group: str = "g") -> Trajectory:
    return Trajectory(id="t", group=group, prompt=100, context=100, turn_limit=200, turn=turn)


def test_before_anything_is_known_a_trajectory_uses_half_of_the_context_that_it_may() -> None:
    assert GrowthForecast(8192).remaining(a_trajectory()) == pytest.approx(4096, rel=0.05)


def test_what_remains_is_what_later_turns_added_and_falls_with_each_turn() -> None:
    forecast = GrowthForecast(1024)
    for number in range(500):
        for turn in range(4):
            forecast.learn(turn, 100, group=f"g{number}", generated=100)
        forecast.learn_end(4)
    rests = [forecast.remaining(a_trajectory(turn, "new")) for turn in range(4)]
    assert rests == pytest.approx([400, 300, 200, 100], rel=0.1)


def test_only_what_is_generated_remains_to_be_generated() -> None:
    forecast = GrowthForecast(1024)
    for number in range(500):
        forecast.learn(0, 100, group=f"g{number}", generated=25)
        forecast.learn_end(1)
    assert forecast.remaining(a_trajectory(group="new")) == pytest.approx(25, rel=0.1)


def test_siblings_of_long_turns_have_more_left_than_others() -> None:
    forecast = GrowthForecast(8192)
    for number in range(400):
        tokens = 300 if number % 2 else 100
        forecast.learn(0, tokens, group=f"g{number % 2}", generated=tokens)
        forecast.learn_end(1)
    long, short = (forecast.remaining(a_trajectory(group=group)) for group in ("g1", "g0"))
    assert long == pytest.approx(3 * short, rel=0.1)


def test_a_group_whose_turns_added_nothing_has_something_left_all_the_same() -> None:
    forecast = GrowthForecast(8192)
    forecast.learn(0, 0, group="g", generated=0)
    assert forecast.remaining(a_trajectory()) >= 0


def test_turns_that_run_long_raise_what_is_expected_until_they_end() -> None:
    forecast = GrowthForecast()
    for _ in range(20):
        forecast.learn(0, 50, generated=50, seconds=5.0)
    usual = forecast.growth(0, 4096, now=100.0)[0]
    for _ in range(10):
        forecast.started(0, 100.0)
    assert forecast.growth(0, 4096, now=100.0)[0] == usual
    assert usual < forecast.growth(0, 4096, now=200.0)[0] <= 4096
    for _ in range(10):
        forecast.stopped(0, 100.0)
    assert forecast.growth(0, 4096, now=1e9)[0] == usual


def test_turns_under_way_never_make_more_expected_than_the_limit() -> None:
    forecast = GrowthForecast()
    forecast.learn(0, 50, generated=50, seconds=5.0)
    forecast.started(0, 0.0)
    assert forecast.growth(0, 200, now=1e9)[0] == 200


def test_lengths_seen_so_far_are_corrected_for_those_that_still_run() -> None:
    rng = random.Random(0)
    lengths = [rng.expovariate(1 / 400) for _ in range(2000)]
    forecast = GrowthForecast()
    for _ in lengths:
        forecast.started(0, 0.0)
    for tokens in sorted(tokens for tokens in lengths if tokens < 200):  # one token a second
        forecast.stopped(0, 0.0)
        forecast.learn(0, round(tokens), generated=round(tokens), seconds=tokens)
    assert forecast.growth(0, 4096, now=200.0)[0] == pytest.approx(400, rel=0.1)


def test_only_so_many_groups_are_remembered() -> None:
    forecast = GrowthForecast()
    for number in range(GROUPS + 10):
        forecast.learn(0, 10, group=f"g{number}", generated=10)
    assert len(forecast._groups) == GROUPS
