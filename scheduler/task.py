"""What a rollout is asked to solve, and the JSON-lines files that hold tasks.

One task a line: ``{"id": …, "prompt": … | "messages": […], "answer": …?}``. A line that does not fit is
an ``InputError`` that names the file, the line and the fault; nothing is skipped.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from headway.errors import InputError


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chat message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One problem: its chat so far, and the true answer if it can be verified."""

    id: str
    messages: list[Message]
    answer: str | None = None


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    id: str | int
    prompt: str | None = None
    messages: list[Message] | None = None
    answer: str | int | float | None = None


def load_tasks(path: Path) -> list[Task]:
    """Read a task file; raises ``InputError`` at its first unusable line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot read the task file: {error.strerror}") from error
    tasks = [_parse(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not tasks:
        raise InputError(f"{path}: the task file holds no task; write one JSON object a line")
    seen: set[str] = set()
    for task in tasks:
        if task.id in seen:
            raise InputError(f"{path}: two tasks have the id {task.id!r}; ids must be unique")
        seen.add(task.id)
    return tasks


def save_tasks(path: Path, tasks: Iterable[Task]) -> None:
    """Write tasks one a line, as ``load_tasks`` reads them."""
    path.write_bytes(b"".join(msgspec.json.encode(task) + b"\n" for task in tasks))


def _parse(line: bytes, place: str) -> Task:
    try:
        raw = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{place}: not a task: {error}") from error
    if (raw.prompt is None) == (raw.messages is None):
        raise InputError(f'{place}: a task needs either "prompt" or "messages"')
    messages = raw.messages if raw.messages is not None else [Message("user", raw.prompt or "")]
    if not messages or messages[-1].role != "user":
        raise InputError(f"{place}: the messages must end with a user's, for the model to answer")
    return Task(id=str(raw.id), messages=messages, answer=None if raw.answer is None else str(raw.answer))
