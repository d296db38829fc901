"""Learning curves of several runs: the mean and spread of each variant, and how variants differ by seed.

Runs of one ``name`` are seeds of one variant. Invariants: a difference is between runs of one seed, so that
what a seed decides alike for both (the order of tasks, above all) is not in it; nothing is compared at steps
that only one side has. The interval is Student's over seeds, at 95 %: it says how far the difference would
move with other seeds, not on other tasks.
"""

import difflib
import statistics as sums
from collections.abc import Sequence

import msgspec

from headway.errors import InputError

from ..evaluation.statistics import mean
from .run import Curve, Run

DEFAULT_METRICS = (
    "eval/measures/pass_at_1",
    "eval/measures/tool_error_in_correct",
    "eval/measures/response_tokens",
)
_MEASURED_ON = ("model", "data.held_out", "data.format", "evaluation.tasks", "evaluation.samples")
_KINDS = {"eval": "held-out", "step": "training"}
_TITLES = {
    "measures/pass_at_1": "pass@1",
    "measures/tool_error_in_correct": "tool errors in correct rollouts",
}


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Of ``n`` seeds at one step; at no step: of their means over the steps that all finished runs have."""

    step: int | None
    n: int
    mean: float
    sd: float | None
    low: float
    high: float


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A variant less the baseline, over the ``n`` seeds that both have; an interval needs two that differ."""

    step: int | None
    n: int
    value: float
    low: float | None
    high: float | None


class VariantCurve(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one variant. ``differences`` is empty for the baseline itself."""

    variant: str
    points: list[Point]
    differences: list[Difference]


class MetricCurves(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of all variants; where ``smooth`` is above 1, each value is the mean of the last so many."""

    metric: str
    smooth: int
    curves: list[VariantCurve]


class CurvesReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``seeds`` are by variant, the baseline first; ``notes`` are what a reader should know."""

    baseline: str
    seeds: dict[str, list[int]]
    metrics: list[MetricCurves]
    notes: list[str]


def title(metric: str) -> str:
    """What a metric is called where people read it."""
    kind, _, name = metric.partition("/")
    said = _TITLES.get(name, name.rpartition("/")[2].replace("_", " "))
    return f"{_KINDS.get(kind, kind)} {said}"


def compare_runs(
    runs: Sequence[Run],
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    baseline: str | None = None,
    smooth: int = 1,
) -> CurvesReport:
    """Compare one run at least; ``smooth`` is for metrics of training steps. Raises ``InputError``."""
    variants = _variants(runs, baseline)
    return CurvesReport(
        baseline=next(iter(variants)),
        seeds={variant: sorted(by_seed) for variant, by_seed in variants.items()},
        metrics=[
            _metric(metric, variants, smooth if metric.startswith("step/") else 1) for metric in metrics
        ],
        notes=_notes(variants),
    )


def _variants(runs: Sequence[Run], baseline: str | None) -> dict[str, dict[int, Run]]:
    """Runs by variant and seed, the baseline's first."""
    variants: dict[str, dict[int, Run]] = {}
    for run in runs:
        other = variants.setdefault(run.variant, {}).setdefault(run.seed, run)
        if other is not run:
            raise InputError(
                f"{run.folder}: has the name '{run.variant}' and the seed {run.seed} of {other.folder}; "
                "leave one of them out, or give variants names of their own"
            )
    if baseline is None:
        return variants
    if baseline not in variants:
        raise InputError(f"no run is named '{baseline}'; there are {', '.join(variants)}")
    return {baseline: variants[baseline], **variants}


def _metric(metric: str, variants: dict[str, dict[int, Run]], smooth: int) -> MetricCurves:
    curves = {
        variant: {
            seed: _smoothed(run.curves[metric], smooth)
            for seed, run in by_seed.items()
            if metric in run.curves
        }
        for variant, by_seed in variants.items()
    }
    _check(metric, variants, curves)
    shared = _shared(variants, curves)
    base = next(iter(curves.values()))
    return MetricCurves(
        metric=metric,
        smooth=smooth,
        curves=[
            VariantCurve(
                variant=variant,
                points=[_point(step, values) for step, values in _by_step(by_seed, shared).items()],
                differences=[] if by_seed is base else _differences(by_seed, base, shared),
            )
            for variant, by_seed in curves.items()
        ],
    )


def _check(metric: str, variants: dict[str, dict[int, Run]], curves: dict[str, dict[int, Curve]]) -> None:
    if not any(curves.values()):
        known = {name for by_seed in variants.values() for run in by_seed.values() for name in run.curves}
        if not known:
            raise InputError("no run has measured anything yet; wait for a first evaluation")
        near = difflib.get_close_matches(metric, known, 3, 0.4) or sorted(known)[:3]
        raise InputError(f"no run has the metric '{metric}'; there are {', '.join(near)} and others")
    for variant, by_seed in curves.items():
        if not by_seed:
            raise InputError(f"no run of '{variant}' has a value of {metric} yet; wait, or leave it out")
    steps = [set().union(*by_seed.values()) for by_seed in curves.values()]
    if not set.intersection(*steps):
        raise InputError(
            f"{metric}: there is no step at which every variant was measured; "
            "compare runs with the same `evaluation.every`"
        )


def _shared(variants: dict[str, dict[int, Run]], curves: dict[str, dict[int, Curve]]) -> list[int]:
    """The steps after 0 that all finished runs have; where none is finished, all runs."""
    every = [(variants[name][seed], curve) for name, of in curves.items() for seed, curve in of.items()]
    finished = [set(curve) for run, curve in every if run.complete]
    return sorted(set.intersection(*(finished or [set(curve) for _, curve in every])) - {0})


def _by_step(curves: dict[int, Curve], shared: Sequence[int]) -> dict[int | None, dict[int, float]]:
    """The values of each seed at each step; at the end their means over the ``shared`` steps, if several."""
    rows: dict[int | None, dict[int, float]] = {
        step: {seed: curve[step] for seed, curve in curves.items() if step in curve}
        for step in sorted(set().union(*curves.values()))
    }
    whole = {seed: curve for seed, curve in curves.items() if curve.keys() >= set(shared)}
    if len(shared) > 1 and whole:
        rows[None] = {seed: sums.fmean(curve[step] for step in shared) for seed, curve in whole.items()}
    return rows


def _point(step: int | None, values: dict[int, float]) -> Point:
    found = list(values.values())
    return Point(
        step=step,
        n=len(found),
        mean=sums.fmean(found),
        sd=sums.stdev(found) if len(found) > 1 else None,
        low=min(found),
        high=max(found),
    )


def _differences(curves: dict[int, Curve], base: dict[int, Curve], shared: Sequence[int]) -> list[Difference]:
    of_base = _by_step(base, shared)
    differences = []
    for step, values in _by_step(curves, shared).items():
        other = of_base.get(step, {})
        found = [values[seed] - other[seed] for seed in values if seed in other]
        estimate = mean(found, [1.0] * len(found))
        if estimate is not None:
            spread = len(found) > 1 and min(found) < max(found)
            interval = (estimate.low, estimate.high) if spread else (None, None)
            differences.append(
                Difference(step=step, n=len(found), value=estimate.value, low=interval[0], high=interval[1])
            )
    return differences


def _smoothed(curve: Curve, smooth: int) -> Curve:
    steps = sorted(curve)
    return {
        step: sums.fmean(curve[each] for each in steps[max(0, place + 1 - smooth) : place + 1])
        for place, step in enumerate(steps)
    }


def _notes(variants: dict[str, dict[int, Run]]) -> list[str]:
    notes = [
        f"{run.folder} is not finished: it counts as far as it came"
        for by_seed in variants.values()
        for run in by_seed.values()
        if not run.complete
    ]
    for variant, by_seed in variants.items():
        settings = [run.settings for run in by_seed.values()]
        names = sorted({name for each in settings for name in each})
        unlike = [name for name in names if len({each.get(name) for each in settings}) > 1]
        if unlike:
            notes.append(f"the runs of '{variant}' differ in more than the seed: {', '.join(unlike[:5])}")
    measured = {
        name: {run.settings.get(name) for by_seed in variants.values() for run in by_seed.values()}
        for name in _MEASURED_ON
    }
    if unlike := [name for name, values in measured.items() if len(values) > 1]:
        notes.append(f"the runs were not measured on the same: {', '.join(unlike)}")
    return notes
