"""A question with one right and three wrong answers, as GPQA is handed around, as a task with four letters.

Invariant: the order of the choices depends on the seed and the row's id alone. Knows nothing of files.
"""

import random

from headway.errors import InputError

from .math_rows import row_id
from .task import Message, Task
from .task_rows import Row

_LETTERS = "ABCD"
_WRONG = tuple(f"incorrect_answer_{number}" for number in (1, 2, 3))
_ASK = "Choose one of A, B, C and D, and answer with its letter alone, as \\boxed{A}."


def is_choice(row: Row) -> bool:
    """Whether the columns are those of GPQA."""
    return row.get("correct_answer") is not None and row.get(_WRONG[0]) is not None


def choice_task(row: Row, seed: int) -> Task:
    """Return the task, whose answer is a letter; raises ``InputError`` that names the column missing."""
    question = _needed(row, "question")
    right = _needed(row, "correct_answer")
    choices = [right, *(_needed(row, name) for name in _WRONG)]
    if len(set(choices)) < len(choices):
        raise InputError(f"{row.place}: two of the choices are the same")
    id = row_id(row)
    shuffled = random.Random(f"{seed} {id}").sample(choices, len(choices))
    lines = [f"{letter}. {choice}" for letter, choice in zip(_LETTERS, shuffled, strict=True)]
    prompt = "\n".join([question, "", *lines, "", _ASK])
    return Task(id=id, messages=[Message("user", prompt)], answer=_LETTERS[shuffled.index(right)])


def _needed(row: Row, name: str) -> str:
    text = row.text(name)
    if text is None:
        column = name.replace("_", " ").title()
        raise InputError(f"{row.place}: no {column}; a gpqa row needs one (columns: {row.names})")
    return text
