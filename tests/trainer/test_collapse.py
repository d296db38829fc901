import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.trainer.collapse import Alarm, CollapseConfig, CollapseDetector, StepFigures


def feed(
    *,
    reward: list[float] | None = None,
    entropy: list[float] | None = None,
    length: list[float] | None = None,
    norm: list[float] | None = None,
    config: CollapseConfig | None = None,
) -> list[Alarm]:
    detector = CollapseDetector(config)
    rows = itertools.zip_longest(reward or [], entropy or [], length or [], norm or [])
    alarms = []
    for step, (r, e, n, g) in enumerate(rows, 1):
        figures = StepFigures(
            step=step,
            reward=0.5 if r is None else r,
            entropy=e,
            response_tokens=100.0 if n is None else n,
            grad_norm=g,
        )
        alarms += detector.note_step(figures)
    return alarms


def evaluate(*values: float) -> list[Alarm]:
    detector = CollapseDetector()
    return [alarm for step, value in enumerate(values) for alarm in detector.note_evaluation(step, value)]


def test_held_out_results_far_below_their_best_three_times_in_a_row_are_a_collapse() -> None:
    (alarm,) = evaluate(0.5, 0.8, 0.79, 0.55, 0.5, 0.45, 0.4)
    assert (alarm.step, alarm.signal, alarm.reference) == (5, "held_out", 0.8)
    assert alarm.value == pytest.approx(0.5)
    assert alarm.reason == (
        "held-out pass@1 was 0.500 over the last 3 evaluations, 38% below its best, 0.800 at step 1"
    )


def test_one_bad_evaluation_and_a_small_loss_are_none() -> None:
    assert evaluate(0.5, 0.8, 0.5, 0.5, 0.8, 0.5, 0.5, 0.7) == []
    assert evaluate(0.8, *[0.62] * 10) == []
    assert evaluate(0.04, *[0.0] * 10) == []


def test_an_alarm_is_given_once_and_again_after_a_recovery() -> None:
    alarms = evaluate(0.8, *[0.1] * 6, 0.8, *[0.1] * 6)
    assert [alarm.step for alarm in alarms] == [3, 10]


def test_a_falling_reward_is_noticed_by_its_mean_over_a_window() -> None:
    (alarm,) = feed(reward=[0.6] * 20 + [0.3] * 20)
    assert (alarm.signal, alarm.step) == ("reward", 26)
    assert feed(reward=[0.6] * 20 + [0.3] * 4 + [0.6] * 20) == []


def test_entropy_that_all_but_vanishes_is_noticed_and_its_ordinary_decline_is_not() -> None:
    alarms = feed(entropy=[0.5 * 0.95**step for step in range(120)])
    assert [(alarm.signal, alarm.step) for alarm in alarms] == [("entropy", 55)]
    assert "less than 10% of the" in alarms[0].reason
    assert feed(entropy=[0.2 + 0.3 * 0.95**step for step in range(120)]) == []


def test_a_sudden_growth_of_responses_is_noticed_and_a_slow_one_is_not() -> None:
    (alarm,) = feed(length=[1000.0] * 40 + [2500.0] * 40)
    assert (alarm.signal, alarm.step) == ("response_tokens", 46)
    assert (alarm.value, alarm.reference) == (2500.0, 1000.0)
    assert feed(length=[1000 * 1.01**step for step in range(300)]) == []


def test_gradient_norms_that_stay_large_are_noticed_and_single_spikes_are_not() -> None:
    (alarm,) = feed(norm=[0.1] * 30 + [5.0] * 10)
    assert alarm.signal == "grad_norm"
    assert feed(norm=[0.1, 0.1, 0.1, 50.0] * 30) == []


def test_gradient_norms_that_are_not_finite_count_as_large() -> None:
    (alarm,) = feed(norm=[0.1] * 30 + [math.nan] * 10)
    assert (alarm.signal, alarm.value) == ("grad_norm", math.inf)


def test_steps_without_an_update_are_left_out_of_entropy_and_gradient_norm() -> None:
    assert feed(reward=[0.5] * 200, entropy=[], norm=[]) == []


@given(st.integers(0, 2**32 - 1))
def test_a_healthy_run_with_its_noise_raises_no_alarm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = np.arange(150)
    pass_at_1 = 0.5 + 0.35 * (1 - np.exp(-steps / 30))
    alarms = feed(
        reward=np.clip(pass_at_1 + rng.normal(0, 0.05, 150), 0, 1).tolist(),
        entropy=(0.1 + 0.3 * np.exp(-steps / 40) + rng.normal(0, 0.01, 150)).tolist(),
        length=(800 + 4 * steps + rng.normal(0, 60, 150)).tolist(),
        norm=np.exp(rng.normal(-2, 0.6, 150)).tolist(),
    )
    assert alarms == []


@pytest.mark.parametrize("count", [0, 1, 9])
def test_a_run_too_short_to_judge_is_not_judged(count: int) -> None:
    assert feed(reward=[0.9] + [0.0] * count, length=[1.0] + [1e9] * count, norm=[math.inf] * count) == []
