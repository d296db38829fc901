"""Copying exercises: the short instructions with which the cold start begins.

A demonstration is worth nothing to a policy that cannot copy a number from its prompt, and that skill forms
late when the numbers are a small part of long chats. These chats have no tools and are hardly anything
but numbers. Invariant: the same seed gives the same exercises. Knows nothing of tokens or of training.
"""

import random
from collections.abc import Iterator

from headway.scheduler.task import Message, Task

from .demonstrations import Demonstration, Mode, Segment

_OPERATORS = ("+", "-", "*", "%", "//", ",")


def exercises(seed: int) -> Iterator[Demonstration]:
    """Yield exercises without end."""
    rng = random.Random(f"exercises-{seed}")
    while True:
        yield _exercise(rng)


def _exercise(rng: random.Random) -> Demonstration:
    numbers = [str(rng.randint(10, 10 ** rng.randint(2, 6))) for _ in range(rng.randint(1, 4))]
    asked = numbers[0]
    for number in numbers[1:]:
        asked += rng.choice(_OPERATORS) + number
    task = Task(id=f"copy-{asked}", messages=[Message("user", f"Repeat {asked}")])
    return Demonstration(task, Mode.EXERCISE, [Segment(True, asked)])
