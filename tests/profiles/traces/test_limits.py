"""Workloads made to fit."""

import msgspec
import pytest

from headway.errors import InputError
from headway.profiles.traces.limits import limited
from headway.profiles.traces.options import TraceOptions
from headway.profiles.workload import Script, ScriptedGroup, ScriptedTurn, Workload

SMALL = Script([ScriptedTurn(10, 1.0, 5), ScriptedTurn(10)])  # 125 tokens with its prompt
LARGE = Script([ScriptedTurn(100, 90.0, 200), ScriptedTurn(100, 5.0, 0), ScriptedTurn(50)])  # 550
WORKLOAD = Workload(
    name="w",
    groups=[ScriptedGroup(60, [SMALL]), ScriptedGroup(60, [LARGE, SMALL], 1, 2.0)],
    max_context=1000,
    turn_limit=100,
    system=40,
)


def fit(**options: object) -> Workload:
    workload, _ = limited(WORKLOAD, TraceOptions(**options))  # type: ignore[arg-type]
    workload.check()
    return workload


def test_limits_that_nothing_exceeds_change_nothing_but_what_the_scheduler_is_told() -> None:
    assert fit() is WORKLOAD
    within = fit(clip_s=90.0, max_context=550, turn_limit=100)
    assert within == msgspec.structs.replace(WORKLOAD, max_context=550)


def test_waits_are_clipped_and_counted() -> None:
    workload = fit(clip_s=5.0)
    assert [turn.tool_s for turn in workload.groups[1].scripts[0].turns] == [5.0, 5.0, 0.0]
    assert workload.notes == "waits clipped to 5 s: 1"


def test_trajectories_are_cut_before_the_turn_that_would_not_fit() -> None:
    workload = fit(max_context=500)
    assert workload.groups[1].scripts == [Script([ScriptedTurn(100, 90.0, 200), ScriptedTurn(100)]), SMALL]
    assert workload.notes == "trajectories cut at 500 tokens of context: 1 of 3"


def test_one_whose_first_turn_does_not_fit_is_left_out() -> None:
    workload, places = limited(WORKLOAD, TraceOptions(max_context=150))
    assert [group.scripts for group in workload.groups] == [[SMALL], [SMALL]]
    assert places == [0, 1]
    assert "1 left out" in workload.notes


def test_groups_of_which_nothing_is_left_are_not_waited_for() -> None:
    groups = [ScriptedGroup(60, [LARGE]), ScriptedGroup(60, [SMALL], 1, 2.0)]
    workload, places = limited(
        msgspec.structs.replace(WORKLOAD, groups=groups), TraceOptions(max_context=150)
    )
    workload.check()
    assert (workload.groups[0].after, places) == (0, [1])


def test_a_group_may_shrink_instead_with_all_its_siblings() -> None:
    workload = fit(max_context=275, too_long="scale")
    assert workload.groups[0].scripts == [SMALL]
    large, small = workload.groups[1].scripts
    assert [(turn.generated, turn.observed) for turn in large.turns] == [(49, 98), (49, 0), (24, 0)]
    assert [turn.generated for turn in small.turns] == [5, 5]
    assert workload.system + workload.groups[1].prompt == 49
    assert workload.notes == "trajectories scaled to contexts of 275 tokens: 2 of 3"


def test_turns_are_cut_and_contexts_stay() -> None:
    workload = fit(turn_limit=60)
    turns = workload.groups[1].scripts[0].turns
    assert [(turn.generated, turn.observed) for turn in turns] == [(60, 240), (60, 40), (50, 0)]
    assert workload.notes == "turns cut to 60 tokens: 2"


def test_a_limit_that_nothing_fits_is_refused() -> None:
    with pytest.raises(InputError, match="no trajectory has a turn within 100 tokens"):
        limited(WORKLOAD, TraceOptions(max_context=100))
