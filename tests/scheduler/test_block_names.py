from hypothesis import given
from hypothesis import strategies as st

from headway.scheduler.block_names import BLOCK, BlockNames


def test_contexts_that_begin_alike_have_names_in_common_up_to_where_they_part() -> None:
    names = BlockNames()
    common = list(range(2 * BLOCK))
    first = names.new("x", common + [1] * BLOCK)
    second = names.new("y", common + [2] * BLOCK)
    assert first[:2] == second[:2]
    assert first[2] != second[2]
    assert len(set(first + second)) == 4


@given(cuts=st.lists(st.integers(0, 5 * BLOCK), max_size=5))
def test_names_do_not_depend_on_how_often_they_were_asked_for(cuts: list[int]) -> None:
    names = BlockNames()
    tokens = [7 * number % 1000 for number in range(5 * BLOCK + 3)]
    parts = [names.new("x", tokens[:cut]) for cut in sorted(cuts)] + [names.new("x", tokens)]
    assert [name for part in parts for name in part] == names.new("y", tokens)


def test_nobody_who_knows_the_text_can_find_its_name() -> None:
    tokens = [5] * BLOCK
    assert BlockNames().new("x", tokens) != BlockNames().new("x", tokens)


def test_a_trajectory_that_is_over_is_forgotten() -> None:
    names = BlockNames()
    first = names.new("x", [5] * BLOCK)
    names.forget("x")
    assert names.new("x", [5] * BLOCK) == first
