"""Where a run's tasks come from: files, or the arithmetic that headway generates."""

import random
from collections.abc import Iterator
from pathlib import Path

from headway.scheduler import Task, TaskFormat, load_tasks
from headway.trainer import arithmetic
from headway.trainer.task_cursor import TaskCursor

GENERATED = "arithmetic"


def training_tasks(
    source: str, *, seed: int, format: TaskFormat = "auto", count: int | None = None
) -> TaskCursor:
    """Tasks without end: generated ones, or ``count`` of them or a file's in a new order each epoch."""
    if source == GENERATED and count is None:
        return TaskCursor(problem.task() for problem in arithmetic.stream(arithmetic.Split.TRAIN, seed))
    pool = finite_tasks(source, format, count=count, seed=seed)
    return TaskCursor(_epochs(pool, random.Random(seed)), pool)


def held_out_tasks(source: str, count: int, format: TaskFormat = "auto") -> list[Task]:
    """Return up to ``count`` tasks to evaluate on, always the same."""
    if count == 0:
        return []
    if source == GENERATED:
        return arithmetic.tasks(arithmetic.Split.HELD_OUT, count)
    return load_tasks(Path(source), format)[:count]


def finite_tasks(
    source: str, format: TaskFormat = "auto", *, count: int | None = None, seed: int = 0
) -> list[Task]:
    """The tasks of a training source, at most ``count``; none for generated ones that have no end."""
    if source == GENERATED:
        return arithmetic.tasks(arithmetic.Split.TRAIN, count, seed) if count is not None else []
    return load_tasks(Path(source), format)[:count]


def _epochs(tasks: list[Task], rng: random.Random) -> Iterator[Task]:
    while True:
        yield from rng.sample(tasks, len(tasks))
