"""Models of how long tools take."""

import statistics

import pytest

from headway.errors import InputError
from headway.profiles.traces.latency import Latency


def test_a_constant_is_always_the_same() -> None:
    latency = Latency(["constant:1.5"], seed=0)
    assert {latency.draw("python") for _ in range(5)} == {1.5}


def test_a_tool_may_have_a_model_of_its_own() -> None:
    latency = Latency(["constant:2", "python=constant:0.3"], seed=0)
    assert (latency.draw("python"), latency.draw("search")) == (0.3, 2.0)


def test_a_lognormal_has_its_median_and_an_exponential_its_mean() -> None:
    latency = Latency(["a=lognormal:median=2,sigma=1", "b=exponential:mean=3"], seed=0)
    assert statistics.median(latency.draw("a") for _ in range(4000)) == pytest.approx(2, rel=0.1)
    assert statistics.mean(latency.draw("b") for _ in range(4000)) == pytest.approx(3, rel=0.1)


def test_the_same_seed_draws_the_same_times() -> None:
    def draw(seed: int) -> list[float]:
        latency = Latency(["lognormal:median=2,sigma=1"], seed=seed)
        return [latency.draw("a") for _ in range(5)]

    assert draw(1) == draw(1) != draw(2)


def test_a_tool_without_a_model_is_named() -> None:
    with pytest.raises(InputError, match="no latency is stated for the tool 'search'"):
        Latency(["python=constant:1"], seed=0).draw("search")


@pytest.mark.parametrize(
    "spec",
    [
        "fast",
        "normal:mean=1",
        "constant:",
        "constant:soon",
        "constant:-1",
        "lognormal:median=2",
        "lognormal:median=2,sigma=1,mean=3",
        "lognormal:median=2,sigma=inf",
        "exponential:nan",
    ],
)
def test_a_spec_that_is_none_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match="latency '"):
        Latency([spec], seed=0)
