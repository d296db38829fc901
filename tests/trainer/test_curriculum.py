"""Stages, tasks that are solved, and the order in which tasks are drawn."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import HeadwayError
from headway.scheduler import Group, Task
from headway.trainer.capacity import capacity
from headway.trainer.curriculum import Curriculum
from headway.trainer.screening import unknown
from headway.trainer.solve_rates import SolveRates
from headway.trainer.stage_config import EntryConfig, StageConfig
from headway.trainer.task_cursor import TaskCursor

from .records import rollout

SHARES = st.floats(0, 1)


def stage(steps: int, enter: EntryConfig | None = None, name: str = "s") -> StageConfig:
    return StageConfig(name=name, steps=steps, enter=enter or EntryConfig())


def walk(curriculum: Curriculum, shares: list[float]) -> list[int]:
    """The stage of every step."""
    stages = []
    for share in shares:
        if curriculum.stage is None:
            break
        stages.append(curriculum.index)
        curriculum.note(share)
    return stages


def test_a_stage_ends_after_its_steps() -> None:
    assert walk(Curriculum([stage(2), stage(1), stage(3)]), [1.0] * 9) == [0, 0, 1, 2, 2, 2]


def test_a_stage_is_entered_early_once_enough_is_solved_and_enough_steps_are_taken() -> None:
    enter = EntryConfig(after=3, fully_solved=0.7, window=2)
    stages = [stage(9), stage(1, enter)]
    assert walk(Curriculum(stages), [0.9, 0.9, 0.4, 0.8, 0.8]) == [0, 0, 0, 0, 0]
    assert walk(Curriculum(stages), [0.1, 0.1, 0.1, 0.6, 0.8, 0.0]) == [0, 0, 0, 0, 0, 1]
    assert walk(Curriculum(stages), [0.9, 0.9, 0.9, 0.9]) == [0, 0, 0, 1]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.none() | SHARES.filter(bool), st.integers(1, 3)), min_size=1),
    st.lists(SHARES, min_size=30, max_size=30),
    st.integers(0, 30),
)
def test_a_curriculum_that_is_resumed_goes_on_as_if_it_had_not_been(plan, shares, cut) -> None:
    stages = [stage(steps, EntryConfig(fully_solved=share, window=w)) for steps, share, w in plan]
    unbroken = Curriculum(stages)
    expected = walk(unbroken, shares)
    first = Curriculum(stages)
    walked = walk(first, shares[:cut])
    second = Curriculum(stages, first.state)
    assert walked + walk(second, shares[cut:]) == expected
    assert second.state == unbroken.state
    assert expected == sorted(expected)
    assert set(expected) == set(range(max(expected) + 1))
    assert all(expected.count(index) <= stages[index].steps for index in set(expected))


def test_a_last_stage_that_is_given_more_steps_goes_on() -> None:
    short = Curriculum([stage(2)])
    assert walk(short, [0.5] * 9) == [0, 0]
    longer = Curriculum([stage(5)], short.state)
    assert not longer.begins
    assert longer.left == 3
    assert walk(longer, [0.5] * 9) == [0, 0, 0]
    assert Curriculum([stage(1)], longer.state).stage is None


def group(task: str, *rewards: float | None) -> Group:
    return Group(task, [rollout(id=f"{task}.{i}", reward=reward) for i, reward in enumerate(rewards)])


def test_a_task_is_solved_when_enough_fresh_rollouts_are_all_right() -> None:
    rates = SolveRates()
    rates.note(group("all", 1.0, 1.0, 1.0), version=5)
    rates.note(group("most", 1.0, 0.0, 1.0), version=5)
    rates.note(group("few", 1.0, 1.0, None), version=5)
    assert [rates.solved(t, of=3, since=5) for t in ("all", "most", "few", "new")] == [
        True,
        False,
        None,
        None,
    ]
    assert rates.solved("all", of=3, since=6) is None
    assert rates.solved("few", of=2, since=0) is True
    again = SolveRates(rates.rates)
    again.note(group("all", 0.0), version=6)
    assert again.solved("all", of=3, since=0) is False
    assert rates.solved("all", of=3, since=0) is True


def task(name: str) -> Task:
    return Task(id=name, messages=[])


def test_only_tasks_of_which_nothing_is_known_are_tried() -> None:
    rates = SolveRates()
    rates.note(group("a", 1.0, 1.0), version=1)
    rates.note(group("b", 0.0), version=3)
    tasks = [task(name) for name in "abc"]
    assert [t.id for t in unknown(tasks, rates, of=2, since=2)] == ["a", "c"]
    assert [t.id for t in unknown(tasks, rates, of=2, since=1)] == ["c"]


def cursor() -> TaskCursor:
    pool = [task(name) for name in "abcde"]
    return TaskCursor(itertools.cycle(pool), pool)


@given(st.integers(0, 12), st.sets(st.sampled_from("abcde"), max_size=4))
def test_a_cursor_goes_on_where_another_was(drawn: int, left_out: set[str]) -> None:
    first, second = cursor(), cursor()
    first.leave_out(left_out)
    for _ in range(drawn):
        assert first.draw().id not in left_out
    second.move(first.position)
    second.leave_out(first.left_out)
    assert [second.draw() for _ in range(7)] == [first.draw() for _ in range(7)]


def test_where_every_task_is_solved_there_is_nothing_left_to_train_on() -> None:
    with pytest.raises(HeadwayError, match="all 5 tasks are solved every time"):
        cursor().leave_out(set("abcde"))


@given(st.integers(1, 20), st.integers(0, 4), st.booleans(), st.integers(0, 200))
def test_the_capacity_rule_is_areals(prompts: int, staleness: int, training: bool, held: int) -> None:
    """Equation 3 of arXiv 2505.24298, where all batches before were full."""
    version = 7
    given_out = version + training
    submitted = given_out * prompts + held
    allowed = (version + staleness + 1) * prompts
    assert capacity(prompts=prompts, max_staleness=staleness, training=training, held=held) == max(
        allowed - submitted, 0
    )
