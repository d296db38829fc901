"""Says in words how a snippet failed, as a model reads it: a traceback of the snippet's own lines only.

Invariants: no frame of the runner or of a library, no source line, no caret, no suggestion; the same text on
every machine and, as far as the messages are ours, on every Python. Knows nothing of processes.
"""

from collections.abc import Iterable
from itertools import groupby
from types import TracebackType

FILENAME = "<code>"
_SHOWN_REPEATS = 3
_MAX_CHAIN = 16
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def describe(error: BaseException) -> str:
    """Return the traceback of an exception and of those that led to it, ending in a newline."""
    text, seen = _describe_one(error), {id(error)}
    for _ in range(_MAX_CHAIN):
        earlier, joint = error.__cause__, _CAUSE
        if earlier is None and not error.__suppress_context__:
            earlier, joint = error.__context__, _CONTEXT
        if earlier is None or id(earlier) in seen:
            break
        seen.add(id(earlier))
        text, error = _describe_one(earlier) + joint + text, earlier
    return text


def _describe_one(error: BaseException) -> str:
    frames = "".join(_frame_lines(error.__traceback__))
    header = "Traceback (most recent call last):\n" if frames else ""
    return header + frames + _syntax_line(error) + _message(error) + "".join(_notes(error))


def _frame_lines(trace: TracebackType | None) -> Iterable[str]:
    for line, repeats in groupby(_own_frames(trace)):
        count = sum(1 for _ in repeats)
        yield line * min(count, _SHOWN_REPEATS)
        hidden = count - _SHOWN_REPEATS
        if hidden > 0:
            yield f"  [Previous line repeated {hidden} more time{'s' if hidden > 1 else ''}]\n"


def _own_frames(trace: TracebackType | None) -> Iterable[str]:
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == FILENAME:
            yield f'  File "{FILENAME}", line {trace.tb_lineno}, in {code.co_name}\n'
        trace = trace.tb_next


def _syntax_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f'  File "{error.filename or "<string>"}", line {error.lineno}\n'
    return ""


def _message(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("__main__", "builtins"):
        name = f"{kind.__module__}.{name}"
    try:
        text = str(error.msg) if isinstance(error, SyntaxError) else str(error)
    except BaseException:
        text = "<exception str() failed>"
    return f"{name}: {text}\n" if text else f"{name}\n"


def _notes(error: BaseException) -> Iterable[str]:
    notes = getattr(error, "__notes__", None)
    return (f"{note}\n" for note in notes) if isinstance(notes, list) else ()
