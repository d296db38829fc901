import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from headway.engine.simulated.hardware import StepTime
from headway.engine.step_record import StepRecord
from headway.errors import InputError
from headway.profiles.calibration import StepRun
from headway.profiles.fit import fit_runs, fit_steps, nnls, total_seconds

TRUE = StepTime(fixed=0.01, prefill=3e-4, decode=5e-4, kv_read=1e-6, attention=1e-7)


def record(seconds: float, **work: float) -> StepRecord:
    zero = {"prefill": 0, "decode": 0, "kv_read": 0, "attention": 0.0}
    return StepRecord(
        t=0.0, seconds=seconds, cpu_seconds=seconds / 2, running=1, waiting=0, preemptions=0, **(zero | work)
    )


def recorded(count: int, *, seed: int = 0, noise: float = 0.0, slower: float = 1.0) -> list[StepRecord]:
    """Steps as ``TRUE`` has them, each off by up to ``noise``, all of them slower by a factor."""
    draw = random.Random(seed)
    steps = []
    for _ in range(count):
        decode = draw.randint(0, 12)
        prefill = draw.choice([0, 0, 0, draw.randint(1, 2000)])
        work = {
            "prefill": prefill,
            "decode": decode,
            "kv_read": decode * draw.randint(100, 4000),
            "attention": prefill * draw.uniform(0, 3000),
        }
        exact = total_seconds(TRUE, [record(0.0, **work)])
        steps.append(record(exact * slower * draw.uniform(1 - noise, 1 + noise), **work))
    return steps


def assert_close(fitted: StepTime, true: StepTime, tolerance: float) -> None:
    for name in StepTime.__struct_fields__:
        assert getattr(fitted, name) == pytest.approx(getattr(true, name), rel=tolerance), name


def test_exact_steps_give_their_coefficients() -> None:
    fitted, kept = fit_steps(recorded(300))
    assert_close(fitted, TRUE, 1e-6)
    assert kept > 250


def test_noise_is_averaged_out() -> None:
    fitted, _ = fit_steps(recorded(3000, noise=0.2))
    assert_close(fitted, TRUE, 0.1)


def test_steps_that_were_held_up_do_not_bend_the_proportions() -> None:
    steps = recorded(1000, noise=0.05)
    held_up = [record(1.0, decode=2, kv_read=500)] * 3
    fitted, kept = fit_steps([*steps, *held_up])
    assert kept <= 1000
    assert fitted.prefill / fitted.fixed == pytest.approx(TRUE.prefill / TRUE.fixed, rel=0.1)


def test_the_fitted_steps_add_up_to_the_recorded_time() -> None:
    steps = [*recorded(500, noise=0.3), *recorded(20, seed=1, slower=5.0)]
    fitted, _ = fit_steps(steps)
    assert total_seconds(fitted, steps) == pytest.approx(sum(step.seconds for step in steps))


def test_a_kind_of_work_that_never_came_up_costs_nothing() -> None:
    fitted, _ = fit_steps([step for step in recorded(500) if step.prefill == 0])
    assert fitted.prefill == fitted.attention == 0.0


def test_the_clock_is_chosen() -> None:
    wall, _ = fit_steps(recorded(300))
    cpu, _ = fit_steps(recorded(300), clock="cpu_seconds")
    assert cpu.fixed == pytest.approx(wall.fixed / 2)


def test_a_fit_is_judged_on_runs_that_it_has_not_seen() -> None:
    runs = [StepRun(f"run {seed}", recorded(200, seed=seed)) for seed in range(1, 4)]
    slow = StepRun("slow", recorded(200, seed=9, slower=1.25))
    fit = fit_runs([*runs[:2], slow, runs[2]])
    assert [run.name for run in fit.held_out] == ["slow"]
    assert fit.worst == pytest.approx(1 - 1 / 1.25, rel=1e-4)
    assert_close(fit.step, TRUE, 1e-6)


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(InputError, match="49 steps are too few"):
        fit_steps(recorded(49))


@given(
    matrix=arrays(np.float64, (8, 3), elements=st.floats(-10, 10).map(lambda x: round(x, 2))),
    target=arrays(np.float64, 8, elements=st.floats(-10, 10).map(lambda x: round(x, 2))),
)
def test_no_coefficient_is_negative_and_none_can_be_bettered(
    matrix: "np.ndarray", target: "np.ndarray"
) -> None:
    x = nnls(matrix, target)
    gradient = matrix.T @ (target - matrix @ x)
    assert (x >= 0).all()
    assert (gradient <= 1e-5 * (1 + np.abs(matrix.T @ target).max())).all()
    assert np.abs(gradient[x > 0]).max(initial=0) <= 1e-5 * (1 + np.abs(matrix.T @ target).max())
