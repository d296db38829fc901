from headway.profiles.bench.claims import FIRST_COME, judge
from headway.profiles.bench.comparison import compare
from headway.profiles.bench.row import Measured

from .rows import cell, measured


def verdicts(*arms: Measured) -> dict[str, bool]:
    return {v.claim: v.holds for v in judge(compare([arm.row for arm in arms]), arms)}


def test_a_claim_is_judged_in_the_worst_cell_that_it_is_about() -> None:
    low, high = cell("swe", 2.0, engines=8), cell("swe", 3.0, engines=8)
    claim = "swe/trace, pressure >= 2, 8 engines or more: at least 2.5x sticky_least_loaded"
    good = [
        measured("headroom", 100, low),
        measured("sticky_least_loaded", 260, low),
        measured("headroom", 100, high),
        measured("sticky_least_loaded", 300, high),
    ]
    assert verdicts(*good)[claim]
    assert not verdicts(*good[:1], measured("sticky_least_loaded", 240, low), *good[2:])[claim]


def test_a_claim_that_no_row_is_about_is_not_judged() -> None:
    claims = verdicts(
        measured("headroom", 100, cell("math", 0.3)), measured("static", 100, cell("math", 0.3))
    )
    assert not any("swe" in claim for claim in claims)


def test_ablations_are_no_rivals() -> None:
    where = cell("math", 0.3)
    claims = verdicts(measured("headroom", 100, where), measured("headroom:hold=off", 50, where))
    assert not any("any rival" in claim for claim in claims)


def test_falling_behind_any_rival_by_more_than_two_percent_is_said() -> None:
    where = cell("search", 2.0)
    claim = "every suite: at least 0.98x any rival"
    assert verdicts(measured("headroom", 100, where), measured("static", 98.5, where))[claim]
    assert not verdicts(measured("headroom", 100, where), measured("static", 97, where))[claim]


def test_fairness_is_held_against_order_of_arrival_trajectory_by_trajectory() -> None:
    where = cell("math", 3.0)
    ours = measured("headroom", 100, where, first_token_s=[1.0] * 99 + [9.0])
    starving = measured("headroom", 100, where, first_token_s=[1.0] * 97 + [9.0] * 3)
    theirs = measured(FIRST_COME, 100, where, first_token_s=[2.0] * 100)
    claim = "first token no later than 2x first-come-first-served's: 99%"
    assert verdicts(ours, theirs)[claim]
    assert not verdicts(starving, theirs)[claim]


def test_makespans_are_held_against_the_bound() -> None:
    claims = verdicts(measured("headroom", 110, cell()), measured("headroom", 140, cell("swe")))
    assert not claims["makespan over bound, geometric mean: at most 1.15"]
    assert not claims["makespan over bound, any cell: at most 1.35"]
