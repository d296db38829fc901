from hypothesis import given
from hypothesis import strategies as st

from headway.scheduler.trajectory import Trajectory
from headway.scheduler.turn_queue import TurnQueue


def trajectory(id: str) -> Trajectory:
    return Trajectory(id=id, group="g", prompt=1, context=1, turn_limit=1)


def test_the_least_rank_is_first_and_equal_ranks_stay_in_order_of_arrival() -> None:
    queue = TurnQueue()
    for id, rank in (("late", 2), ("first", 1), ("second", 1)):
        queue.add(trajectory(id), rank)
    assert [t.id for t in queue] == ["first", "second", "late"]
    assert [queue.at(position).id for position in range(3)] == ["first", "second", "late"]


def test_what_is_not_queued_is_discarded_without_complaint() -> None:
    queue = TurnQueue()
    waiting, other = trajectory("waiting"), trajectory("other")
    queue.add(waiting, 0)
    queue.discard(other)
    queue.discard(waiting)
    queue.discard(waiting)
    assert not len(queue)


def test_one_that_was_taken_out_and_comes_again_goes_behind_its_equals() -> None:
    queue = TurnQueue()
    first, second = trajectory("first"), trajectory("second")
    queue.add(first, 0)
    queue.add(second, 0)
    queue.discard(first)
    queue.add(first, 0)
    assert [t.id for t in queue] == ["second", "first"]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 3)), max_size=60))
def test_the_queue_is_a_stable_sort_of_what_is_in_it(moves: list[tuple[bool, int, int]]) -> None:
    queue = TurnQueue()
    known = [trajectory(str(number)) for number in range(10)]
    expected: list[tuple[int, Trajectory]] = []
    for comes, number, rank in moves:
        one = known[number]
        expected = [(r, t) for r, t in expected if t is not one]
        queue.discard(one)
        if comes:
            queue.add(one, rank)
            expected.append((rank, one))
        assert list(queue) == [t for _, t in sorted(expected, key=lambda entry: entry[0])]
        assert len(queue) == len(expected)
        assert [one in queue for one in known] == [any(t is one for _, t in expected) for one in known]
