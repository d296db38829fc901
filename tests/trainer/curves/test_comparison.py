"""Means, spreads and paired differences over seeds."""

import math
import statistics

import msgspec
import pytest

from headway.errors import InputError
from headway.trainer.curves import Run, compare_runs, title
from headway.trainer.curves.comparison import Difference, Point

from .curves_of_runs import METRIC, run_of

A = [run_of("a", seed, {0: 0.5, 10: 0.6 + seed / 100, 20: 0.8 + seed / 100}) for seed in (1, 2, 3)]


def test_seeds_of_one_name_are_one_curve() -> None:
    [metric] = compare_runs(A, [METRIC]).metrics
    [curve] = metric.curves
    assert [(point.step, point.n) for point in curve.points] == [(0, 3), (10, 3), (20, 3), (None, 3)]
    assert curve.points[2].mean == pytest.approx(0.82)
    assert curve.points[2].sd == pytest.approx(0.01)
    assert (curve.points[2].low, curve.points[2].high) == pytest.approx((0.81, 0.83))
    assert curve.points[3].mean == pytest.approx(0.72)  # step 0 comes before any training
    assert curve.differences == []


def test_variants_differ_seed_by_seed() -> None:
    gains = {1: 0.1, 2: 0.12, 3: 0.17}
    b = [
        run_of("b", seed, {0: 0.5, 10: 0.6 + seed / 100 + gain, 20: 0.8 + seed / 100})
        for seed, gain in gains.items()
    ]
    [metric] = compare_runs([*A, *b], [METRIC]).metrics
    at_10 = metric.curves[1].differences[1]
    reach = 4.303 * statistics.stdev(gains.values()) / math.sqrt(3)  # Student's t of two degrees
    assert (at_10.step, at_10.n, at_10.value) == (10, 3, pytest.approx(0.13))
    assert (at_10.low, at_10.high) == (
        pytest.approx(0.13 - reach, abs=1e-4),
        pytest.approx(0.13 + reach, abs=1e-4),
    )
    assert metric.curves[1].differences[3].value == pytest.approx(0.065)


def test_only_seeds_and_steps_that_both_have_are_held_against_each_other() -> None:
    b = [run_of("b", 3, {10: 0.7, 30: 0.9}), run_of("b", 4, {10: 0.1})]
    [metric] = compare_runs([*A, *b], [METRIC]).metrics
    assert metric.curves[1].differences == [
        Difference(step=10, n=1, value=pytest.approx(0.07), low=None, high=None)
    ]
    assert metric.curves[1].points[1] == Point(step=30, n=1, mean=0.9, sd=None, low=0.9, high=0.9)


def test_a_run_that_has_just_begun_does_not_shorten_the_mean_of_the_others() -> None:
    begun = [run_of("a", 4, {0: 0.5}, complete=False), run_of("b", 1, {0: 0.5, 10: 0.6}, complete=False)]
    [metric] = compare_runs([*A, *begun], [METRIC]).metrics
    assert metric.curves[0].points[-1].n == 3
    assert metric.curves[0].points[-1].mean == pytest.approx(0.72)
    assert [point.step for point in metric.curves[1].points] == [0, 10]
    assert [point.mean for point in compare_runs(begun[1:], [METRIC]).metrics[0].curves[0].points] == [
        0.5,
        0.6,
    ]


def test_the_baseline_is_the_first_named_unless_one_is_given() -> None:
    runs = [*A, run_of("b", 1, {10: 0.5})]
    assert list(compare_runs(runs, [METRIC]).seeds) == ["a", "b"]
    report = compare_runs(runs, [METRIC], baseline="b")
    assert list(report.seeds) == ["b", "a"]
    assert report.metrics[0].curves[1].differences[0].value == pytest.approx(0.11)


def test_only_training_steps_are_smoothed() -> None:
    values = {1: 1.0, 2: 3.0, 3: 8.0}
    trained = run_of("a", 1, values, metric="step/x")
    [metric] = compare_runs([trained], ["step/x"], smooth=2).metrics
    assert [point.mean for point in metric.curves[0].points[:3]] == [1.0, 2.0, 5.5]
    [metric] = compare_runs([run_of("a", 1, values)], [METRIC], smooth=2).metrics
    assert [point.mean for point in metric.curves[0].points[:3]] == [1.0, 3.0, 8.0]
    assert metric.smooth == 1


def test_what_makes_runs_unlike_is_said() -> None:
    runs = [
        run_of("a", 1, {1: 0.5}, settings={"grpo.steps": "5"}),
        run_of("a", 2, {1: 0.5}, settings={"grpo.steps": "6"}, complete=False),
    ]
    assert compare_runs(runs, [METRIC]).notes == [
        "runs/a-2 is not finished: it counts as far as it came",
        "the runs of 'a' differ in more than the seed: grpo.steps",
    ]


@pytest.mark.parametrize(
    ("runs", "metric", "baseline", "message"),
    [
        ([*A, run_of("a", 1, {})], METRIC, None, "has the name 'a' and the seed 1 of runs/a-1"),
        (A, METRIC, "c", "no run is named 'c'; there are a"),
        (A, "eval/measures/pass_at", None, f"no run has the metric .*; there are {METRIC}"),
        ([msgspec.structs.replace(A[0], curves={})], METRIC, None, "no run has measured anything yet"),
        ([*A, run_of("b", 1, {1: 0.5}, metric="step/x")], METRIC, None, "no run of 'b' has a value"),
        ([*A, run_of("b", 1, {5: 0.5})], METRIC, None, "no step at which every variant was measured"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(
    runs: list[Run], metric: str, baseline: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        compare_runs(runs, [metric], baseline=baseline)


def test_metrics_have_names_for_people() -> None:
    assert title(METRIC) == "held-out pass@1"
    assert title("step/update/grad_norm") == "training grad norm"
