"""What a caller asks of a node, and what the node answers.

Each request travels with a number that its answer repeats; a number with None in place of a request cancels
it. A session is named by its caller, so that it can be closed whatever became of the answer to ``Open``.
"""

from collections.abc import Sequence

import msgspec

from ..result import Limits, Result, Snippet, Tier


class NodeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a node starts its sandbox; see ``ZygoteSandbox.start``."""

    workers: int | None = None
    max_sessions: int = 1024
    allow_tier_c: bool = False
    unsafe_no_isolation: bool = False


class Hello(msgspec.Struct, frozen=True):
    """A node that has started: its process, its isolation, and how many snippets it runs at once."""

    pid: int
    tier: Tier
    workers: int


class Run(msgspec.Struct, frozen=True):
    """Run a snippet, by itself or as a cell of a session."""

    snippet: Snippet
    session: int | None = None


class Open(msgspec.Struct, frozen=True):
    """Open a session under a new name."""

    session: int
    limits: Limits | None
    idle_s: float


class Branch(msgspec.Struct, frozen=True):
    """Open a session under a new name that goes on from the state of another."""

    session: int
    branch: int


class Close(msgspec.Struct, frozen=True):
    """Close a session, if it is there."""

    session: int


class Refused(msgspec.Struct, frozen=True):
    """The node could not do what was asked; ``reason`` is for the user."""

    reason: str


Request = Run | Open | Branch | Close
Answer = Result | Refused | None
Requests = Sequence[tuple[int, Request | None]]
Answers = Sequence[tuple[int, Answer]]
