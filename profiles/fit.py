"""Fits the time of an engine's step to recorded steps.

Least squares over coefficients that are not negative, each step weighted by one over its fitted time: so a
long prefill does not outweigh thousands of decode steps. Steps that a busy machine held up would bend the
fit: after a first one those further from it than five times the median absolute deviation (of the ratio to
the fitted time) are left out, and the rest is fitted again. That gives the coefficients' proportions. Their
level is set by all steps, since a run is held up as well: fitted, they add up to the recorded time.
Judged on whole runs that were not fitted, with none of their steps left out.
Knows nothing of how steps were recorded.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from headway.engine.simulated.hardware import StepTime
from headway.engine.step_record import StepRecord
from headway.errors import InputError

from .calibration import StepRun

Clock = Literal["seconds", "cpu_seconds"]
Matrix = np.ndarray[Any, np.dtype[np.float64]]

LEAST_STEPS = 50
OUTLIER_MADS = 5.0
ROUNDS = 4


class RunError(msgspec.Struct, frozen=True):
    """A run that was not fitted: the seconds of its steps, and what the fit makes of them."""

    name: str
    seconds: float
    fitted: float

    @property
    def error(self) -> float:
        """How far the fit is off, relative to what was recorded."""
        return self.fitted / self.seconds - 1


class Fit(msgspec.Struct, frozen=True):
    """The coefficients, how many steps they rest on, how many were left out, and the held-out runs."""

    step: StepTime
    steps: int
    left_out: int
    held_out: list[RunError]

    @property
    def worst(self) -> float:
        """The largest error of a held-out run, without its sign."""
        return max((abs(run.error) for run in self.held_out), default=float("nan"))

    @property
    def text(self) -> str:
        """The largest error in words; nothing where nothing was held out."""
        return f"held-out steps off by at most {self.worst:.0%}" if self.held_out else ""


def fit_runs(runs: Sequence[StepRun], *, hold_out: int = 3, clock: Clock = "seconds") -> Fit:
    """Fit all runs but every ``hold_out``-th, and judge on those."""
    held_out = runs[hold_out - 1 :: hold_out]
    steps = [step for run in runs if run not in held_out for step in run.steps]
    fitted, kept = fit_steps(steps, clock=clock)
    errors = [
        RunError(run.name, sum(getattr(step, clock) for step in run.steps), total_seconds(fitted, run.steps))
        for run in held_out
    ]
    return Fit(fitted, steps=len(steps), left_out=len(steps) - kept, held_out=errors)


def fit_steps(steps: Sequence[StepRecord], *, clock: Clock = "seconds") -> tuple[StepTime, int]:
    """The coefficients, and how many of the steps they were fitted to."""
    if len(steps) < LEAST_STEPS:
        raise InputError(f"{len(steps)} steps are too few for a fit; record at least {LEAST_STEPS}")
    work, seconds = _matrix(steps), np.array([getattr(step, clock) for step in steps])
    kept = _usual(work, seconds, _weighted(work, seconds))
    coefficients = _weighted(work[kept], seconds[kept])
    coefficients *= seconds.sum() / (work @ coefficients).sum()
    named = dict(zip(StepTime.__struct_fields__, map(float, coefficients), strict=True))
    return StepTime(**named), int(kept.sum())


def total_seconds(step: StepTime, steps: Sequence[StepRecord]) -> float:
    """What the steps take by ``step``."""
    return sum(
        step.seconds(prefill=s.prefill, decode=s.decode, kv_read=s.kv_read, attention=s.attention)
        for s in steps
    )


def nnls(matrix: Matrix, target: Matrix) -> Matrix:
    """The x >= 0 that minimises |matrix x - target|, by the active-set method of Lawson and Hanson
    (Solving Least Squares Problems, 1974, chapter 23)."""
    columns = matrix.shape[1]
    x, passive = np.zeros(columns), np.zeros(columns, dtype=bool)
    for _ in range(10 * columns):
        gradient = matrix.T @ (target - matrix @ x)
        gradient[passive] = -np.inf
        best = int(gradient.argmax())
        if gradient[best] <= 1e-10 * np.abs(matrix.T @ target).max():
            break
        passive[best] = True
        x = _feasible(matrix, target, x, passive)
    return x


def _feasible(
    matrix: Matrix, target: Matrix, x: Matrix, passive: np.ndarray[Any, np.dtype[np.bool_]]
) -> Matrix:
    """Solve for the passive columns; those that would turn negative leave the set, one after the other."""
    while True:
        solved = np.zeros_like(x)
        solved[passive] = np.linalg.lstsq(matrix[:, passive], target, rcond=None)[0]
        negative = passive & (solved <= 0)
        if not negative.any():
            return solved
        step = (x[negative] / (x[negative] - solved[negative])).min()
        x = x + step * (solved - x)
        passive &= x > 1e-15
        x[~passive] = 0.0


def _weighted(work: Matrix, seconds: Matrix) -> Matrix:
    """Every step weighs one over its time, by the fit of the round before."""
    scale = np.abs(work).max(axis=0)
    scale[scale == 0] = 1.0
    scaled, fitted = work / scale, np.maximum(seconds, 1e-9)
    coefficients = np.zeros(work.shape[1])
    for _ in range(ROUNDS):
        weight = 1 / np.sqrt(fitted)
        coefficients = nnls(scaled * weight[:, None], seconds * weight)
        fitted = np.maximum(scaled @ coefficients, float(np.median(seconds)) / 100)
    result: Matrix = coefficients / scale
    return result


def _usual(work: Matrix, seconds: Matrix, coefficients: Matrix) -> np.ndarray[Any, np.dtype[np.bool_]]:
    ratio = seconds / np.maximum(work @ coefficients, 1e-9)
    off = np.abs(ratio - np.median(ratio))
    usual: np.ndarray[Any, np.dtype[np.bool_]] = off <= OUTLIER_MADS * max(float(np.median(off)), 1e-6)
    return usual


def _matrix(steps: Sequence[StepRecord]) -> Matrix:
    """One row a step, its columns in the order of ``StepTime``'s fields."""
    return np.array([(1.0, s.prefill, s.decode, s.kv_read, s.attention) for s in steps], dtype=np.float64)
