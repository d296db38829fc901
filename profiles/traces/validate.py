"""Checks a trace line by line; says what is wrong where, and goes on.

Invariants: what cannot be read at all is an ``InputError``; anything else is a problem with its line, or a
warning where a process that was killed would have left it so.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from headway.errors import InputError
from headway.scheduler.events import Event

from ..event_log import Reader
from ..log_records import AnyEvent, Mark
from ..run_logs import event_log
from . import llmservingsim, sessions
from .chat import parse_chat
from .format import Format, format_of
from .lines import Truncated, numbered_lines
from .rules import Rules

_MOST = 1000  # problems that are kept; the rest are counted


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a line."""

    line: int
    what: str


class Validation(msgspec.Struct, kw_only=True):
    """The outcome; ``problems`` has the first of ``found``."""

    file: str
    format: Format
    lines: int = 0
    found: int = 0
    problems: list[Problem] = []
    warnings: list[str] = []

    def add(self, line: int, what: str) -> None:
        """Note a problem."""
        self.found += 1
        if len(self.problems) < _MOST:
            self.problems.append(Problem(line, what))


def validate(path: Path, *, attempt: int | None = None) -> Validation:
    """Check a trace of any format."""
    match format_of(path):
        case "headway":
            return _validate_log(event_log(path, attempt))
        case "llmservingsim":
            return _validate_lines(path, "llmservingsim", llmservingsim.parse_session)
        case "sessions":
            return _validate_lines(path, "sessions", sessions.parse_session)
        case "chats":
            return _validate_lines(path, "chats", parse_chat)


def _validate_lines(path: Path, format: Format, parse: Callable[[bytes, str], object]) -> Validation:
    done = Validation(file=str(path), format=format)
    for number, line in numbered_lines(path):
        done.lines += 1
        place = f"{path}:{number}"
        try:
            parse(line, place)
        except InputError as error:
            done.add(number, str(error).removeprefix(f"{place}: "))
    return done


def _validate_log(log: Path) -> Validation:
    header = Reader(log).header
    done = Validation(file=str(log), format="headway", lines=1)
    rules = Rules(engines=header.engines, start=header.t)
    marks = _Marks()
    for number, event in _events(log, done):
        problems = marks.check(event) if isinstance(event, Mark) else rules.take(event)
        marks.seen += not isinstance(event, Mark)
        for problem in problems:
            done.add(number, problem)
    if rules.live and marks.closed:
        done.add(done.lines, f"the log was closed; trajectories without an end: {rules.live}")
    elif rules.live:
        done.warnings.append(f"the writer was ended before these trajectories: {rules.live}")
    return done


def _events(log: Path, done: Validation) -> Iterator[tuple[int, Event]]:
    """The lines that are events or marks, with their numbers."""
    decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(AnyEvent | Mark)
    try:
        for number, line in numbered_lines(log):
            if number == 1:
                continue
            done.lines = number
            if not line.endswith(b"\n"):
                done.warnings.append(f"line {number}, the last, is incomplete: the writer was ended there")
                return
            try:
                yield number, decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                done.add(number, f"not an event: {error}")
    except Truncated as error:
        done.warnings.append(str(error).removeprefix(f"{log}: "))


class _Marks:
    """Holds what marks say against the events that were ``seen``."""

    def __init__(self) -> None:
        self.seen = 0
        self.closed = False

    def check(self, mark: Mark) -> Iterator[str]:
        """Yield what is wrong, and go on from the mark's own count."""
        self.closed = mark.last
        if mark.events > self.seen:
            yield f"events missing before this mark: {mark.events - self.seen}"
        elif mark.events < self.seen:
            yield f"events before this mark that it does not count: {self.seen - mark.events}"
        self.seen = mark.events
