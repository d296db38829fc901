r"""Decides when two answers are the same, as far as structure, exact numbers and units settle it.

Invariants: what needs algebra is left in the formula; the answer may not offer alternatives that the truth
has not. The question is not known here, so what only one of the two names (a unit, the variable in
``x = 5``) is taken to be as asked. Knows nothing of the sandbox.
"""

from fractions import Fraction

from .formula import Formula, all_of, any_of, equal
from .latex import as_latex
from .notation import clean, is_balanced
from .number import number
from .shape import Kind, Shape, has_letters, is_name, read
from .unit import PERCENT, Unit, split_unit
from .words import compare_words

MAX_CHARACTERS = 2000
_MAX_CLEANED = 2 * MAX_CHARACTERS
_UNORDERED = frozenset((Kind.SET, Kind.LIST))
_BRACKETED = (Kind.TUPLE, Kind.CLOSED, Kind.LEFT_OPEN, Kind.RIGHT_OPEN)
_RELATIONS = ("<", ">", r"\leq", r"\geq", r"\neq", r"\cup", r"\cap", r"\setminus", r"\mathbb", r"\emptyset")


def equate(answer: str, truth: str) -> Formula:
    r"""Return what must hold for ``answer`` to be equivalent to ``truth``: both as in ``\boxed{…}``."""
    answer, truth = answer.strip(), truth.strip()
    if answer == truth:
        return bool(answer)
    if max(len(answer), len(truth)) > MAX_CHARACTERS or not is_balanced(answer):
        return False
    numbers = number(answer), number(truth)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] == numbers[1]
    answer, truth = clean(answer), clean(truth)
    if answer == truth or not answer or not truth:
        return bool(answer and truth)
    if len(answer) > _MAX_CLEANED:
        return False
    decided = compare_words(answer, truth)
    return _shapes(read(answer), read(truth)) if decided is None else decided


def _shapes(answer: Shape, truth: Shape) -> Formula:
    answer, truth = _without_name(answer), _without_name(truth)
    if answer.kind is Kind.EQUATION or truth.kind is Kind.EQUATION:
        return _equations(answer, truth)
    kinds = {answer.kind, truth.kind}
    if kinds == {Kind.VALUE}:
        return _values(answer.text, truth.text)
    if kinds <= _UNORDERED:
        return _same_members(answer.items, truth.items)
    if kinds in ({Kind.LIST, Kind.TUPLE}, {answer.kind}):
        return _same_sequence(answer.items, truth.items)
    if Kind.VALUE in kinds:
        return _value_and_structure(answer, truth)
    return False


def _same_sequence(answer: tuple[Shape, ...], truth: tuple[Shape, ...]) -> Formula:
    return len(answer) == len(truth) and all_of(map(_shapes, answer, truth))


def _same_members(answer: tuple[Shape, ...], truth: tuple[Shape, ...]) -> Formula:
    """Every member of either is a member of the other, so that repeated members do not matter."""
    table = [[_shapes(one, other) for other in truth] for one in answer]
    rows = (any_of(row) for row in table)
    return all_of([*rows, *(any_of(column) for column in zip(*table, strict=True))])


def _value_and_structure(answer: Shape, truth: Shape) -> Formula:
    """Compare an interval with an inequality, a scaled matrix with a matrix, a ratio with its quotient."""
    value, other = (answer, truth) if answer.kind is Kind.VALUE else (truth, answer)
    if other.kind is Kind.RATIO and len(other.items) == 2 and not has_letters(value.text):
        quotient = rf"\frac{{{other.items[0].text}}}{{{other.items[1].text}}}"
        texts = (value.text, quotient) if value is answer else (quotient, value.text)
        return _values(*texts)
    is_set = other.kind in (*_BRACKETED, Kind.SET) and any(mark in value.text for mark in _RELATIONS)
    is_matrix = other.kind is Kind.MATRIX and "matrix}" in value.text
    return _algebra(answer.text, truth.text) if is_set or is_matrix else False


def _without_name(shape: Shape) -> Shape:
    """Write ``x = 1 or x = 2`` (or ``x = 1, 2``) as the values alone: the list has one name for all."""
    if shape.kind not in _UNORDERED or shape.items[0].kind is not Kind.EQUATION:
        return shape
    name = _name(shape.items[0])
    names = {_name(item) for item in shape.items if item.kind is Kind.EQUATION}
    if name is None or names != {name} or any(len(item.items) > 2 for item in shape.items):
        return shape
    values = (item.items[1] if item.kind is Kind.EQUATION else item for item in shape.items)
    return Shape(shape.kind, shape.text, tuple(values))


def _name(equation: Shape) -> str | None:
    first = equation.items[0].text
    return first.replace(" ", "") if is_name(first) else None


def _equations(answer: Shape, truth: Shape) -> Formula:
    if answer.kind is truth.kind:
        name = _name(answer)
        if name is not None and name == _name(truth):
            return all_of(_shapes(side, truth.items[-1]) for side in answer.items[1:])
        both_simple = len(answer.items) == len(truth.items) == 2
        return _algebra(answer.text, truth.text) if both_simple else False
    if truth.kind is Kind.EQUATION:
        named = _name(truth) is not None and len(truth.items) == 2
        return _shapes(answer, truth.items[1]) if named else False
    sides = answer.items
    if is_name(sides[0].text) or (has_letters(sides[0].text) and not has_letters(truth.text)):
        sides = sides[1:]
    return all_of(_shapes(side, truth) for side in sides)


def _values(answer: str, truth: str) -> Formula:
    if answer == truth:
        return True
    quantities = split_unit(answer), split_unit(truth)
    as_quantities = _quantities(*quantities[0], *quantities[1])
    if isinstance(as_quantities, bool) or not any(unit is not None and unit.bare for _, unit in quantities):
        return as_quantities
    return any_of((as_quantities, _algebra(answer, truth)))  # 3m may be three metres or three times m


def _quantities(answer: str, unit: Unit | None, truth: str, true_unit: Unit | None) -> Formula:
    values = number(answer), number(truth)
    if unit is None or true_unit is None:
        only = unit or true_unit
        if only is not None and only.powers == PERCENT:
            return _proportion(answer, truth) if only is unit else _proportion(truth, answer)
        return _algebra(answer, truth) if None in values else values[0] == values[1]
    if unit.powers != true_unit.powers:
        return False
    if values[0] is not None and values[1] is not None:
        difference = values[0] * unit.factor - values[1] * true_unit.factor
        return difference == 0 or (unit.modulus > 0 and difference % unit.modulus == 0)
    return _algebra(_scaled(answer, unit.factor / true_unit.factor), truth)


def _proportion(percentage: str, bare: str) -> Formula:
    """A percentage is its hundredth or, above 1, itself: there the sign must have been left out."""
    values = number(percentage), number(bare)
    if values[0] is None or values[1] is None:
        return _algebra(_scaled(percentage, Fraction(1, 100)), bare)
    return values[0] == 100 * values[1] or (values[0] == values[1] and abs(values[1]) > 1)


def _scaled(text: str, factor: Fraction) -> str:
    if factor == 1:
        return text
    return rf"\frac{{{factor.numerator}}}{{{factor.denominator}}}\cdot ({text})"


def _algebra(answer: str, truth: str) -> Formula:
    decided = compare_words(answer, truth)
    if decided is not None:
        return decided
    left, right = as_latex(answer), as_latex(truth)
    return False if left is None or right is None else equal(left, right)
