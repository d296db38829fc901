"""Where a run's tasks come from: files, or the arithmetic that headway generates."""

import random
from collections.abc import Iterator
from pathlib import Path

from headway.scheduler import Task, TaskFormat, load_tasks
from headway.trainer import arithmetic

GENERATED = "arithmetic"


def training_tasks(source: str, *, seed: int, format: TaskFormat = "auto") -> Iterator[Task]:
    """Yield tasks without end: generated ones, or a file's in a new order each epoch."""
    if source == GENERATED:
        return (problem.task() for problem in arithmetic.stream(arithmetic.Split.TRAIN, seed))
    return _epochs(load_tasks(Path(source), format), random.Random(seed))


def held_out_tasks(source: str, count: int, format: TaskFormat = "auto") -> list[Task]:
    """Return up to ``count`` tasks to evaluate on, always the same."""
    if count == 0:
        return []
    if source == GENERATED:
        return arithmetic.tasks(arithmetic.Split.HELD_OUT, count)
    return load_tasks(Path(source), format)[:count]


def finite_tasks(source: str, format: TaskFormat = "auto") -> list[Task]:
    """The tasks of a training source that can be checked before the run; none for generated ones."""
    return [] if source == GENERATED else load_tasks(Path(source), format)


def _epochs(tasks: list[Task], rng: random.Random) -> Iterator[Task]:
    while True:
        yield from rng.sample(tasks, len(tasks))
