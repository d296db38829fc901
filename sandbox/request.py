"""Turns a snippet into what a slot is asked: numbers for the slot, bytes for the call's files."""

from .result import Limits, Snippet
from .wire import Call, Kind


def call_of(snippet: Snippet, *, session: Limits | None = None, state: int = 0) -> Call:
    """Return the call for a snippet or, with the limits of a session, for a cell on one of its states."""
    limits = snippet.limits
    held = session or limits
    return Call(
        wall_s=limits.wall_s,
        cpu_s=limits.cpu_s,
        memory_bytes=held.memory_bytes,
        disk_bytes=held.disk_bytes,
        output_bytes=limits.output_bytes,
        processes=held.processes,
        kind=Kind.RUN if session is None else Kind.CELL,
        state=state,
    )


def encoded(code: str) -> bytes:
    """The source as bytes; what UTF-8 cannot say becomes a question mark."""
    return code.encode("utf-8", "replace")
