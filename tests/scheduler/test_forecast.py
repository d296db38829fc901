import statistics

import pytest

from headway.scheduler.forecast import GrowthForecast


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
