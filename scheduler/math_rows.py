r"""A row with a problem and its answer, as AIME, MATH-500 and most sets for training are handed around.

The answer is a column of its own, or the last ``\boxed{…}`` of a worked solution. Knows nothing of files.
"""

import hashlib
from typing import Any

import msgspec

from headway.errors import InputError

from .hermes import boxed_answer
from .task import Message, Task
from .task_rows import Row

QUESTION = ("problem", "question", "prompt", "messages")
ID = ("unique_id", "id", "task_id", "problem_id", "record_id", "uuid")
_ANSWER = ("answer", "expected_answer", "final_answer", "ground_truth", "target")
_SOLUTION = ("solution", "generated_solution")


def is_math(row: Row) -> bool:
    """Whether the columns are those of a problem with an answer."""
    return row.get(*QUESTION) is not None and _has_answer(row)


def math_task(row: Row) -> Task:
    """Return the task; raises ``InputError`` that names what is missing."""
    messages = _messages(row)
    return Task(id=row_id(row), messages=messages, answer=_answer(row))


def row_id(row: Row) -> str:
    """The row's own id, or one made from what it says, which another order of rows does not change."""
    given = row.text(*ID)
    if given is not None:
        return given
    said = msgspec.json.encode(row.columns, enc_hook=str, order="sorted")
    return "row-" + hashlib.sha256(said).hexdigest()[:12]


def _messages(row: Row) -> list[Message]:
    question = row.get(*QUESTION)
    if question is None:
        raise InputError(
            f"{row.place}: no question; call its column problem, question or prompt (columns: {row.names})"
        )
    if isinstance(question, str):
        return [Message("user", question.strip())]
    try:
        messages = msgspec.convert(question, list[Message])
    except msgspec.ValidationError as error:
        raise InputError(f"{row.place}: the question is neither text nor a chat: {error}") from error
    if not messages or messages[-1].role != "user":
        raise InputError(f"{row.place}: the messages must end with a user's, for the model to answer")
    return messages


def _has_answer(row: Row) -> bool:
    return any(value is not None for value in (row.get(*_ANSWER), row.get(*_SOLUTION), _nested(row)))


def _answer(row: Row) -> str:
    """The answer alone: out of its box, and from behind the ``####`` that GSM8K sets before it."""
    given = row.get(*_ANSWER)
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if given is None:
        given = _nested(row)
    if given is not None:
        text = Row(row.place, {"answer": given}).text("answer") or ""
        answer = boxed_answer(text) or text.rpartition("####")[2].strip()
    else:
        answer = boxed_answer(row.text(*_SOLUTION) or "") or ""
    if not answer:
        raise InputError(
            f"{row.place}: no answer; give a column answer or expected_answer, or a solution with its answer "
            f"in \\boxed{{}} (columns: {row.names})"
        )
    return answer


def _nested(row: Row) -> Any:
    """``reward_model.ground_truth``, where verl's files keep the answer."""
    inner = row.get("reward_model")
    return inner.get("ground_truth") if isinstance(inner, dict) else None
