import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.scheduler.ledger import Segment
from headway.scheduler.trajectory import ALLOWED, State, Trajectory


@given(st.lists(st.sampled_from(State), max_size=12))
def test_a_state_changes_only_along_the_table(path: list[State]) -> None:
    trajectory = Trajectory(id="t", group="g", prompt=1, context=1, turn_limit=1)
    for state in path:
        if state in ALLOWED[trajectory.state]:
            trajectory.move(state)
            assert trajectory.state is state
        else:
            with pytest.raises(ValueError, match="not an allowed move"):
                trajectory.move(state)


def test_finished_and_failed_are_final() -> None:
    assert not ALLOWED[State.FINISHED]
    assert not ALLOWED[State.FAILED]


def test_what_nobody_shares_is_what_comes_after_the_last_segment() -> None:
    alone = Trajectory(id="t", group="g", prompt=100, context=150, turn_limit=1)
    shared = (Segment("system", 60), Segment("g", 100))
    assert alone.private == 150
    assert Trajectory(id="t", group="g", prompt=100, context=150, turn_limit=1, shared=shared).private == 50
