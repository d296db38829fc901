"""Files of tasks: headway's own lines, and the tables in which AIME, MATH-500 and GPQA are handed around.

``load_tasks`` is the one door for all of them. A row that does not fit is an ``InputError`` that names the
file, the row and the fault; nothing is skipped, and no two tasks share an id.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args

import msgspec

from headway.errors import InputError

from .choice_rows import choice_task, is_choice
from .math_rows import is_math, math_task
from .task import Message, Task
from .task_rows import Row, read_rows

TaskFormat = Literal["auto", "headway", "math", "gpqa"]


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    id: str | int
    prompt: str | None = None
    messages: list[Message] | None = None
    answer: str | int | float | None = None


def load_tasks(path: Path, format: TaskFormat = "auto", *, seed: int = 0) -> list[Task]:
    """Read a task file (JSON lines, JSON, CSV, parquet); raises ``InputError`` at its first unusable row.

    ``auto`` goes by the columns of the first row. ``seed`` shuffles the choices of ``gpqa``.
    """
    rows = read_rows(path)
    if not rows:
        raise InputError(f"{path}: the task file holds no task; write one JSON object a line")
    parse = _parser(format, rows[0], seed)
    tasks = [parse(row) for row in rows]
    seen: set[str] = set()
    for task in tasks:
        if task.id in seen:
            raise InputError(f"{path}: two tasks have the id {task.id!r}; ids must be unique")
        seen.add(task.id)
    return tasks


def save_tasks(path: Path, tasks: Iterable[Task]) -> None:
    """Write tasks one a line, as ``load_tasks`` reads them."""
    path.write_bytes(b"".join(msgspec.json.encode(task) + b"\n" for task in tasks))


def task_format(name: str) -> TaskFormat:
    """Return the format of that name; raises ``InputError`` with those that are."""
    for known in get_args(TaskFormat):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise InputError(f"no task format is named {name!r}; choose one of {', '.join(get_args(TaskFormat))}")


def _parser(format: TaskFormat, first: Row, seed: int) -> Callable[[Row], Task]:
    if format == "auto":
        own = "id" in first.columns and set(first.columns) <= set(_Line.__struct_fields__)
        format = "headway" if own else "gpqa" if is_choice(first) else "math" if is_math(first) else "headway"
    match format:
        case "gpqa":
            return lambda row: choice_task(row, seed)
        case "math":
            return math_task
        case _:
            return _own_task


def _own_task(row: Row) -> Task:
    try:
        raw = msgspec.convert(row.columns, _Line)
    except msgspec.ValidationError as error:
        raise InputError(f"{row.place}: not a task: {error} (columns: {row.names})") from error
    if (raw.prompt is None) == (raw.messages is None):
        raise InputError(f'{row.place}: a task needs either "prompt" or "messages"')
    messages = raw.messages if raw.messages is not None else [Message("user", raw.prompt or "")]
    if not messages or messages[-1].role != "user":
        raise InputError(f"{row.place}: the messages must end with a user's, for the model to answer")
    return Task(id=str(raw.id), messages=messages, answer=None if raw.answer is None else str(raw.answer))
