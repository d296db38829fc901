"""The nine families of arithmetic problems, with the Python that solves each and the Python that does not.

Invariant: every solution of a family evaluates to the same integer for the same numbers. A mistake
evaluates without an error, and mostly to another integer. Knows nothing of tasks, splits or chats.
"""

import random
from collections.abc import Callable

import msgspec

Numbers = tuple[int, ...]


class Program(msgspec.Struct, frozen=True):
    """An expression over ``{0}``, ``{1}``, …, and the import that it needs, if any."""

    expression: str
    needs: str = ""

    def fill(self, numbers: Numbers) -> "Program":
        """Return this program with the numbers in place."""
        return Program(self.expression.format(*numbers), self.needs)

    def value(self) -> int:
        """Evaluate a filled-in program."""
        scope: dict[str, object] = {}
        exec(f"{self.needs}\nvalue = {self.expression}", scope)
        return int(str(scope["value"]))


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of problem: how its numbers are drawn, how it is asked, right and wrong programs."""

    name: str
    draw: Callable[[random.Random], Numbers]
    questions: tuple[str, ...]
    solutions: tuple[Program, ...]
    mistakes: tuple[Program, ...]


def _draw(*ranges: tuple[int, int]) -> Callable[[random.Random], Numbers]:
    return lambda rng: tuple(rng.randint(low, high) for low, high in ranges)


def _with_common_factor(rng: random.Random) -> Numbers:
    factor = rng.randint(12, 89)
    return factor * rng.randint(9, 110), factor * rng.randint(9, 110)


def _ascending(rng: random.Random) -> Numbers:
    first = rng.randint(100, 4999)
    return first, first + rng.randint(100, 4999)


_GCD = "from math import gcd"
_LCM = "from math import lcm"
_THREE = (100, 999)
_FOUR = (1000, 9999)

FAMILIES: tuple[Family, ...] = (
    Family(
        name="product",
        draw=_draw(_FOUR, _THREE),
        questions=("What is {0} times {1}?", "Multiply {0} by {1}.", "Compute the product of {0} and {1}."),
        solutions=(Program("{0}*{1}"),),
        mistakes=(Program("{0}+{1}"), Program("{0}-{1}"), Program("{0}//{1}")),
    ),
    Family(
        name="sum-of-products",
        draw=_draw(_THREE, _THREE, _THREE, _THREE),
        questions=(
            "Add the product of {0} and {1} to the product of {2} and {3}.",
            "What is {0} times {1}, plus {2} times {3}?",
        ),
        solutions=(Program("{0}*{1}+{2}*{3}"),),
        mistakes=(Program("{0}*{1}+{2}+{3}"), Program("{0}*{1}-{2}*{3}"), Program("{0}+{1}+{2}*{3}")),
    ),
    Family(
        name="remainder",
        draw=_draw(_FOUR, _THREE),
        questions=("What is the remainder when {0} is divided by {1}?", "Compute {0} modulo {1}."),
        solutions=(Program("{0}%{1}"),),
        mistakes=(Program("{0}//{1}"), Program("{1}%{0}"), Program("{0}-{1}")),
    ),
    Family(
        name="gcd",
        draw=_with_common_factor,
        questions=(
            "What is the greatest common divisor of {0} and {1}?",
            "Find the largest integer that divides both {0} and {1}.",
        ),
        solutions=(Program("gcd({0},{1})", _GCD),),
        mistakes=(Program("lcm({0},{1})", _LCM), Program("{0}%{1}"), Program("{0}//{1}")),
    ),
    Family(
        name="power-modulo",
        draw=_draw(_THREE, (11, 99), _THREE),
        questions=(
            "What is {0} to the power {1}, modulo {2}?",
            "Find the remainder when {0} to the power {1} is divided by {2}.",
        ),
        solutions=(Program("pow({0},{1},{2})"),),
        mistakes=(Program("pow({1},{0},{2})"), Program("{0}*{1}%{2}"), Program("pow({0},{2},{1})")),
    ),
    Family(
        name="digit-sum",
        draw=_draw(_FOUR, _THREE),
        questions=(
            "What is the sum of the digits of {0} times {1}?",
            "Add up the digits of the product of {0} and {1}.",
        ),
        solutions=(Program("sum(map(int,str({0}*{1})))"),),
        mistakes=(Program("sum(map(int,str({0}+{1})))"), Program("{0}*{1}"), Program("len(str({0}*{1}))")),
    ),
    Family(
        name="divisor-count",
        draw=_draw((240, 9999)),
        questions=("How many positive divisors does {0} have?", "Count the positive divisors of {0}."),
        solutions=(Program("sum({0}%d==0 for d in range(1,{0}+1))"),),
        mistakes=(
            Program("sum({0}%d==0 for d in range(1,{0}))"),
            Program("sum({0}%d==0 for d in range(2,{0}+1))"),
            Program("sum({0}%d for d in range(1,{0}+1))"),
        ),
    ),
    Family(
        name="range-sum",
        draw=_ascending,
        questions=(
            "What is the sum of all integers from {0} to {1}?",
            "Add up the integers from {0} to {1}.",
        ),
        solutions=(Program("sum(range({0},{1}+1))"),),
        mistakes=(Program("sum(range({0},{1}))"), Program("{0}+{1}"), Program("sum(range({1}))")),
    ),
    Family(
        name="trade",
        draw=_draw(_THREE, _THREE, _FOUR),
        questions=(
            "A shop sells {0} lamps at {1} dollars each and pays {2} dollars of rent. How much is left?",
            "A pump moves {0} litres a minute for {1} minutes, and {2} litres leak out. How many remain?",
            "A printer prints {0} pages an hour for {1} hours; {2} pages are spoilt. How many are good?",
        ),
        solutions=(Program("{0}*{1}-{2}"),),
        mistakes=(Program("{0}*{1}+{2}"), Program("{0}*{1}"), Program("{0}+{1}-{2}")),
    ),
)
