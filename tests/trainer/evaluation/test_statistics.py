import math
import statistics as reference

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.trainer.evaluation.statistics import mean, paired, pass_at_k, share, student


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(1, 300))
    return n, draw(st.integers(0, n))


@given(counts())
def test_pass_at_k_is_a_chance_that_grows_with_k_and_equals_its_definition(nc: tuple[int, int]) -> None:
    n, c = nc
    values = [pass_at_k(n, c, k) for k in range(1, n + 1)]
    assert all(0 <= value <= 1 for value in values)
    assert values == sorted(values)
    assert values[0] == pytest.approx(c / n)
    for k, value in enumerate(values, 1):
        assert value == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k), abs=1e-12)


def test_pass_at_k_keeps_its_digits_where_binomials_would_overflow() -> None:
    assert pass_at_k(10**6, 1, 7) == pytest.approx(7e-6, rel=1e-12)
    assert pass_at_k(10**5, 10**5 - 1, 1) == pytest.approx(1 - 1e-5)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 5), (4, 1, 0)])
def test_pass_at_k_of_more_than_there_is_is_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError):
        pass_at_k(n, c, k)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(8, 16)), min_size=1, max_size=40))
def test_the_interval_of_a_share_holds_it_and_stays_a_share(tasks: list[tuple[int, int]]) -> None:
    parts, wholes = [part for part, _ in tasks], [whole for _, whole in tasks]
    found = share(parts, wholes, units=sum(wholes))
    assert found is not None
    assert found.value == pytest.approx(sum(parts) / sum(wholes))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_a_share_of_one_unit_a_task_has_wilsons_interval() -> None:
    found = share([1.0] * 300 + [0.0] * 700, [1.0] * 1000, units=1000)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.2724, 0.3291), abs=3e-4)


def test_rollouts_that_agree_within_a_task_count_as_one() -> None:
    """0/1 by task: eight rollouts of each say no more than one."""
    once = share([1.0, 0.0] * 20, [1.0] * 40, units=40)
    eight = share([8.0, 0.0] * 20, [8.0] * 40, units=320)
    assert once is not None
    assert eight is not None
    assert (eight.low, eight.high) == pytest.approx((once.low, once.high))


def test_all_right_and_all_wrong_still_leave_doubt() -> None:
    right, wrong = share([1.0] * 30, [1.0] * 30, units=240), share([0.0] * 30, [1.0] * 30, units=240)
    assert right is not None
    assert wrong is not None
    assert right.high == 1.0
    assert 0.8 < right.low < 0.95
    assert wrong.low == 0.0
    assert wrong.high == pytest.approx(1 - right.low)


def test_nothing_to_divide_by_is_no_figure() -> None:
    assert share([], [], units=0) is None
    assert share([0.0], [0.0], units=0) is None
    assert mean([], []) is None
    assert paired([]) is None
    assert paired([1.0]) is None


@pytest.mark.parametrize(
    ("tasks", "samples", "k", "a", "b"),
    [
        (15, 8, 1, 2.0, 2.0),
        (30, 8, 1, 0.3, 0.3),
        (30, 1, 1, 0.2, 2.0),
        (30, 8, 4, 0.2, 2.0),
        (100, 4, 1, 5.0, 0.2),
    ],
)
def test_nineteen_intervals_of_twenty_hold_the_truth(
    tasks: int, samples: int, k: int, a: float, b: float
) -> None:
    """Tasks whose difficulty is Beta(a, b), from simulation; with 600 draws 3 standard errors are 2.7 %."""
    rng = np.random.default_rng(7)
    truth = float((1 - (1 - rng.beta(a, b, 400_000)) ** k).mean())
    held = 0
    for _ in range(600):
        right = rng.binomial(samples, rng.beta(a, b, tasks))
        values = [pass_at_k(samples, int(c), k) for c in right]
        found = share(values, [1.0] * tasks, units=samples * tasks)
        assert found is not None
        held += found.low <= truth <= found.high
    assert 0.91 <= held / 600 <= 0.995


def test_the_interval_of_a_ratio_of_calls_holds_the_truth() -> None:
    """Tasks differ in how many calls they take and in how often these fail."""
    rng = np.random.default_rng(3)
    fail, length = rng.beta(1, 4, 400_000), rng.poisson(6, 400_000)
    truth = float((fail * length).sum() / length.sum())
    held = 0
    for _ in range(600):
        calls = rng.poisson(6, 60)
        failed = rng.binomial(calls, rng.beta(1, 4, 60))
        found = share(failed.tolist(), calls.tolist(), units=int(calls.sum()))
        assert found is not None
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 600 <= 0.98


def test_the_interval_of_a_mean_is_students() -> None:
    values = [3.0, 5.0, 4.0, 8.0, 1.0]
    found = mean(values, [1.0] * 5)
    assert found is not None
    half = 2.776445 * reference.stdev(values) / math.sqrt(5)
    assert found.value == reference.mean(values)
    assert found.high - found.value == pytest.approx(half, rel=1e-3)


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (9, 2.26216), (29, 2.04523)]
)
def test_students_quantiles_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    assert student(degrees) == pytest.approx(quantile, rel=2e-3)


def test_pairing_finds_a_difference_that_unpaired_tasks_would_hide() -> None:
    rng = np.random.default_rng(0)
    hard = rng.beta(0.3, 0.3, 60)
    better = np.clip(hard + 0.05 + rng.normal(0, 0.02, 60), 0, None)
    found = paired((better - hard).tolist())
    assert found is not None
    assert 0.04 < found.difference.low < 0.05 < found.difference.high < 0.06
    assert found.p_value < 0.001


def test_no_difference_is_not_found() -> None:
    found = paired([0.0] * 20)
    assert found is not None
    assert (found.difference.value, found.p_value) == (0.0, 1.0)


def test_the_p_value_of_two_models_that_are_alike_is_uniform() -> None:
    rng = np.random.default_rng(5)
    small = 0
    for _ in range(300):
        hard = rng.beta(1, 1, 25)
        a, b = rng.binomial(4, hard) / 4, rng.binomial(4, hard) / 4
        found = paired((b - a).tolist())
        assert found is not None
        small += found.p_value < 0.1
    assert 0.04 < small / 300 < 0.16


def test_the_p_value_is_that_of_all_sign_flips() -> None:
    """Of the 2 ** 5 signs, two make a sum as large as this one."""
    found = paired([1.0, 1.0, 1.0, 1.0, 2.0])
    assert found is not None
    assert found.p_value == pytest.approx(2 / 32, abs=0.012)
