"""What has to be done at the end, whatever happens to the rest of it.

Invariants: every step is tried, also after one that failed; exactly one error is raised, the earliest, and
what failed after it stands in its notes. Knows nothing of what the steps do.
"""

import contextlib
from collections.abc import Callable, Iterator

from headway.errors import HeadwayError

Step = Callable[[], object]


def try_all(*steps: Step) -> None:
    """Take every step in order, then raise the first error."""
    first: Exception | None = None
    for step in steps:
        try:
            step()
        except Exception as error:
            if first is None:
                first = error
            else:
                note(first, error)
    if first is not None:
        raise first


@contextlib.contextmanager
def finally_all(*steps: Step) -> Iterator[None]:
    """Run the body, then every step; an error of the body goes before those of the steps."""
    try:
        yield
    except BaseException as error:
        try:
            try_all(*steps)
        except Exception as late:
            note(error, late)
        raise
    try_all(*steps)


def note(error: BaseException, late: BaseException) -> None:
    """Let ``error`` say that ``late`` happened too, with everything that ``late`` says."""
    for text in texts(late):
        if text not in texts(error):
            error.add_note(text)


def texts(error: BaseException) -> list[str]:
    """Whatever an error has to say: its message or, of a group, those of its members; then the notes."""
    notes = list(getattr(error, "__notes__", []))
    if isinstance(error, BaseExceptionGroup):
        return [text for inner in error.exceptions for text in texts(inner)] + notes
    message = str(error) if isinstance(error, HeadwayError) else f"{type(error).__name__}: {error}"
    return [message, *notes]
