"""The embedded task set: arithmetic that a policy of a million parameters cannot do in its head.

Invariants: the same split, count and seed give the same problems; no problem of one list repeats; the two
splits are disjoint whatever the seed, because a hash of a problem's numbers decides its split.
Knows nothing of how a problem is solved in a chat.
"""

import hashlib
import random
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice

import msgspec

from headway.scheduler.task import Message, Task

from .families import FAMILIES, Family, Numbers

_HELD_OUT_SHARE = 8  # one problem in eight


class Split(StrEnum):
    """What a problem is for."""

    TRAIN = "train"
    HELD_OUT = "held-out"


class Problem(msgspec.Struct, frozen=True):
    """One problem of a family, as it is asked."""

    family: Family
    numbers: Numbers
    question: str
    answer: int

    @property
    def id(self) -> str:
        """The family and the numbers: two ways to ask the same thing share it."""
        return "-".join([self.family.name, *map(str, self.numbers)])

    def task(self) -> Task:
        """Return the problem as a task with a verifiable answer."""
        return Task(id=self.id, messages=[Message("user", self.question)], answer=str(self.answer))


def stream(split: Split, seed: int) -> Iterator[Problem]:
    """Yield problems without end; the families take turns."""
    rng = random.Random(f"{split}-{seed}")
    seen: set[str] = set()
    while True:
        for family in FAMILIES:
            problem = _draw(family, rng)
            while problem.id in seen or split_of(problem.id) is not split:
                problem = _draw(family, rng)
            seen.add(problem.id)
            yield problem


def tasks(split: Split, count: int, seed: int = 0) -> list[Task]:
    """Return ``count`` different tasks."""
    return [problem.task() for problem in islice(stream(split, seed), count)]


def split_of(problem_id: str) -> Split:
    """Say which split a problem belongs to, for every seed."""
    digest = hashlib.blake2b(problem_id.encode(), digest_size=8).digest()
    return Split.HELD_OUT if int.from_bytes(digest) % _HELD_OUT_SHARE == 0 else Split.TRAIN


def _draw(family: Family, rng: random.Random) -> Problem:
    numbers = family.draw(rng)
    question = rng.choice(family.questions).format(*numbers)
    return Problem(family, numbers, question, family.solutions[0].fill(numbers).value())
