"""Tells the format of a trace by what is in it: a run folder, or the keys of a file's first line.

Knows nothing of a format beyond its marks.
"""

import json
from pathlib import Path
from typing import Any, Literal

from headway.errors import InputError

from .lines import numbered_lines

Format = Literal["headway", "llmservingsim", "sessions", "chats"]
HEADWAY: Format = "headway"
CHATS: Format = "chats"
_MARKS: dict[Format, set[str]] = {  # the keys that tell one
    "headway": {"schema", "wall_ns"},
    "llmservingsim": {"sub_requests"},
    "sessions": {"turns", "system_tokens"},
    "chats": {"messages"},
}
_FLAT = {"input_toks", "output_toks"}  # a request of LLMServingSim that stands alone
_NAMED = 8
_KNOWN = (
    "headway reads its own event logs and run folders, sessions of LLMServingSim (with sub_requests), "
    "recorded sessions (with system_tokens and turns) and chats (with messages)"
)


def format_of(path: Path) -> Format:
    """The format; raises ``InputError`` that says what was seen instead of one that is known."""
    if path.is_dir():
        return HEADWAY
    number, line = next(numbered_lines(path), (0, b""))
    if not number:
        raise InputError(f"{path}: is empty; {_KNOWN}")
    place = f"{path}:{number}"
    try:
        first = json.loads(line)
    except ValueError as error:
        raise InputError(f"{place}: not a line of JSON ({line[:40]!r}); {_KNOWN}") from error
    if not isinstance(first, dict):
        raise InputError(f"{place}: a JSON {type(first).__name__} and not an object; {_KNOWN}")
    return _by_keys(first, place)


def _by_keys(first: dict[str, Any], place: str) -> Format:
    keys = set(first)
    for format, marks in _MARKS.items():
        if marks <= keys:
            return format
    if keys >= _FLAT:
        return "llmservingsim"
    named = ", ".join(sorted(keys)[:_NAMED]) or "none"
    raise InputError(f"{place}: an object with the keys {named}; {_KNOWN}")
