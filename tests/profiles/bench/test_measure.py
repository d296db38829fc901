import pytest

from headway.errors import InputError
from headway.profiles.bench.cell import task_of
from headway.profiles.bench.measure import measure_simulated
from headway.profiles.bench.plan import Plan
from headway.profiles.bench.pool import Failed, measure_all
from headway.profiles.bench.row import Measured, quantile

from .rows import HARDWARE, cell


def test_a_row_says_how_a_policy_did() -> None:
    got = measure_simulated(cell("search", 0.3), "static")
    task = task_of(cell("search", 0.3))
    assert got.row.bound_s == task.bound.seconds
    assert got.row.makespan_s >= got.row.bound_s
    assert got.row.generated == task.workload.generated
    assert len(got.first_token_s) == got.row.trajectories == task.workload.trajectories


def test_a_policy_that_fails_takes_no_other_along() -> None:
    arms = [(cell("math", 0.2), "nonsense"), (cell("search", 0.2), "static")]
    outcomes = list(measure_all(arms, jobs=2))
    [failed] = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    [row] = [outcome.row for outcome in outcomes if isinstance(outcome, Measured)]
    assert "no policy is named 'nonsense'" in failed.why
    assert row.suite == "search"


def plan(**more: object) -> Plan:
    given: dict[str, object] = {
        "hardware": HARDWARE,
        "kv_tokens": HARDWARE.kv_tokens,
        "suites": ["math"],
        "pressures": [1.0],
        "engines": [2],
        "seeds": [0, 1],
        "policies": ["static", "headroom"],
    }
    return Plan(**{**given, **more})  # type: ignore[arg-type]


def test_every_policy_gets_the_same_cells() -> None:
    arms = plan().arms()
    assert [(where.seed, policy) for where, policy in arms] == [
        (0, "static"),
        (0, "headroom"),
        (1, "static"),
        (1, "headroom"),
    ]


def test_groups_override_pressures() -> None:
    cells = list(plan(groups=4, pressures=[1.0, 2.0]).cells())
    assert len(cells) == 2
    assert {where.pressure for where in cells} == {cells[0].pressure}
    assert len(task_of(cells[1]).workload.groups) == 4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"suites": ["chess"]}, "no suite is named 'chess'"),
        ({"policies": ["best"]}, "no policy is named 'best'"),
        ({"policies": ["static:x=1"]}, "policy static"),
        ({"pressures": [0.0]}, "a pressure is a number above 0"),
        ({"engines": [0]}, "at least one engine"),
        ({"suites": []}, "nothing to run"),
    ],
)
def test_a_senseless_choice_is_refused_before_anything_runs(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan(**wrong).arms()


def test_a_quantile_is_one_of_the_values() -> None:
    assert quantile([3.0, 1.0, 2.0, 4.0], 0.5) == 2.0
    assert quantile([float(n) for n in range(1, 101)], 0.99) == 99.0
    assert quantile([5.0], 0.99) == 5.0
    assert quantile([], 0.5) == 0.0
