import pytest

from headway.profiles.bench.cell import task_of
from headway.profiles.bench.comparison import compare
from headway.profiles.bench.sweep import best_limits, limits

from .rows import cell, measured


def rows(*arms: tuple[str, float, int]):
    return [measured(policy, makespan, cell(seed=seed)).row for policy, makespan, seed in arms]


def test_policies_are_compared_seed_by_seed() -> None:
    [comparison] = compare(rows(("a", 110, 0), ("b", 220, 0), ("a", 300, 1), ("b", 150, 1), ("a", 120, 2)))
    assert comparison.gain("a", "b", 1.0) == [2.0, 0.5]
    point = comparison.point("a", 1.0)
    assert point is not None
    assert (point.to_best.low, point.to_best.high) == (1.0, 2.0)
    assert point.to_bound.median == pytest.approx(1.2)


def test_suites_and_fleets_are_kept_apart() -> None:
    kept_apart = [cell("math"), cell("swe"), cell("math", engines=4)]
    comparisons = compare([measured("a", 100, where).row for where in kept_apart])
    assert [(c.suite, c.engines) for c in comparisons] == [("math", 2), ("swe", 2), ("math", 4)]


def test_a_sweep_takes_part_with_the_one_limit_that_is_best_over_all_seeds() -> None:
    swept = rows(
        ("capped:limit=2", 100, 0),
        ("capped:limit=2", 300, 1),
        ("capped:limit=8", 150, 0),
        ("capped:limit=8", 160, 1),
    )
    best = best_limits(swept)
    assert [(row.policy, row.limit, row.makespan_s) for row in best] == [
        ("capped (best limit)", 8, 150),
        ("capped (best limit)", 8, 160),
    ]
    assert compare(swept)[0].policies == ["capped (best limit)"]


def test_the_limits_of_a_sweep_span_all_that_could_be_best() -> None:
    seeds = [cell("math", 2.0, seed=seed) for seed in range(3)]
    grid = limits(seeds)
    assert grid == sorted(set(grid))
    assert grid[0] == 200_000 // 12_288
    assert all(2 * grid[-1] >= task_of(where).workload.trajectories for where in seeds)  # two engines
