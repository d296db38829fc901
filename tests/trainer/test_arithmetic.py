import random
from itertools import islice

import pytest

from headway.trainer.arithmetic import Split, split_of, stream, tasks
from headway.trainer.families import FAMILIES, Family

BY_NAME = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def test_the_same_seed_gives_the_same_tasks() -> None:
    assert tasks(Split.TRAIN, 90, seed=3) == tasks(Split.TRAIN, 90, seed=3)
    assert tasks(Split.TRAIN, 90, seed=3) != tasks(Split.TRAIN, 90, seed=4)


def test_no_seed_moves_a_problem_into_the_other_split() -> None:
    train = {task.id for seed in range(3) for task in tasks(Split.TRAIN, 300, seed)}
    held_out = {task.id for seed in range(3) for task in tasks(Split.HELD_OUT, 300, seed)}
    assert not train & held_out
    assert {split_of(id) for id in train} == {Split.TRAIN}


def test_no_task_repeats_and_families_take_turns() -> None:
    problems = list(islice(stream(Split.HELD_OUT, 0), 450))
    assert len({problem.id for problem in problems}) == 450
    assert [problem.family.name for problem in problems[:9]] == [family.name for family in FAMILIES]


def test_a_task_asks_for_its_numbers_and_answers_with_an_integer() -> None:
    for problem in islice(stream(Split.TRAIN, 0), 180):
        task = problem.task()
        assert all(str(number) in task.messages[0].content for number in problem.numbers)
        assert task.answer is not None
        assert int(task.answer) == problem.answer


@BY_NAME
def test_every_solution_of_a_family_gives_the_same_answer(family: Family) -> None:
    rng = random.Random(0)
    for _ in range(20):
        numbers = family.draw(rng)
        assert len({program.fill(numbers).value() for program in family.solutions}) == 1


@BY_NAME
def test_each_mistake_is_mostly_wrong(family: Family) -> None:
    rng = random.Random(0)
    draws = [family.draw(rng) for _ in range(100)]
    for mistake in family.mistakes:
        hits = sum(mistake.fill(n).value() == family.solutions[0].fill(n).value() for n in draws)
        assert hits < 20, mistake
