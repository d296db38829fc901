"""What is asked of a sandbox and what it answers.

Invariant: a status comes from the kernel and the parent's clock, never from what the code printed.
``SANDBOX_ERROR`` and ``WORKER_LOST`` are the sandbox's own faults: they are retried, are never shown to a
model as its error and never count for or against a reward.
"""

from enum import StrEnum
from typing import Any, Protocol

import msgspec

from headway.errors import InputError


class Status(StrEnum):
    """How a run of a snippet ended."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    CPU_LIMIT = "cpu_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    KILLED = "killed"
    EXPIRED = "expired"
    SANDBOX_ERROR = "sandbox_error"
    WORKER_LOST = "worker_lost"


class Tier(StrEnum):
    """How a snippet was isolated, best first; ``NONE`` only by an explicit, loud choice."""

    A = "A"
    B = "B"
    C = "C"
    NONE = "none"


_RANGES: dict[str, tuple[Any, float, float]] = {
    "wall_s": (int | float, 0.001, 30 * 86_400),
    "cpu_s": (int | float, 0.001, 30 * 86_400),
    "memory_bytes": (int, 16 << 20, 1 << 44),
    "disk_bytes": (int, 1 << 12, 1 << 44),
    "output_bytes": (int, 1, 1 << 28),
    "processes": (int, 1, 1 << 15),
}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one run may use. Times in seconds, sizes in bytes; output is per stream.

    Raises ``InputError`` for what is out of range.
    """

    wall_s: float = 4.0
    cpu_s: float = 4.0
    memory_bytes: int = 512 << 20
    disk_bytes: int = 16 << 20
    output_bytes: int = 16 << 10
    processes: int = 32

    def __post_init__(self) -> None:
        for name, (kind, least, most) in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= most:
                what = "a whole number" if kind is int else "a number"
                raise InputError(f"{name} is {value!r}: give {what} from {least:,} to {most:,}")


class Snippet(msgspec.Struct, frozen=True, kw_only=True):
    """Python source to run as ``__main__``, with what it reads on standard input."""

    code: str
    stdin: bytes = b""
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not isinstance(self.code, str) or not isinstance(self.stdin, bytes):
            kinds = f"{type(self.code).__name__} and {type(self.stdin).__name__}"
            raise InputError(f"code and stdin are {kinds}: give text and bytes")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The structured answer to one snippet.

    ``stdout`` and ``stderr`` are decoded with replacement; where a stream exceeded its limit the head and
    the tail are kept and ``*_dropped`` counts the bytes left out between them. ``replayed`` is how many
    earlier cells of a session had to run again to bring its state back, after its process was lost;
    ``kept`` says that the session's state now holds what this cell did.
    """

    status: Status
    exit_code: int | None = None
    signal: int | None = None
    stdout: str = ""
    stderr: str = ""
    stdout_dropped: int = 0
    stderr_dropped: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_bytes: int = 0
    tier: Tier
    attempt: int = 1
    replayed: int = 0
    kept: bool = False

    @property
    def is_sandbox_fault(self) -> bool:
        """Whether the sandbox failed, rather than the code in it."""
        return self.status in (Status.SANDBOX_ERROR, Status.WORKER_LOST)


class Session(Protocol):
    """State that is kept between the calls of one trajectory. One cell runs at a time."""

    async def run(self, snippet: Snippet) -> Result:
        """Run one cell on the state that the last good cell left.

        Wall, CPU and output limits are the snippet's; memory, disk and processes are the session's own. A
        cell that ends in an exception keeps what it had done by then, as in a notebook; one that is cut off
        (a limit, a crash) leaves the state as it was before. ``EXPIRED``: the session is gone, and with it
        its state.
        """
        ...

    async def branch(self) -> "Session":
        """Return a second session that goes on from this state.

        Their variables are independent from here on. They share files and the process namespace, so branches
        of one session have to trust each other.
        """
        ...

    async def close(self) -> None:
        """End the session and free what it holds; calls that follow end as ``EXPIRED``."""
        ...


class Sandbox(Protocol):
    """Runs model-written code, isolated. ``run`` never raises for what the code does."""

    @property
    def tier(self) -> Tier:
        """The isolation that every run gets."""
        ...

    async def run(self, snippet: Snippet) -> Result:
        """Run one snippet to its end or to its first limit."""
        ...

    async def open_session(self, limits: Limits | None = None, *, idle_s: float = 1800.0) -> Session:
        """Open a session; one that is not used for ``idle_s`` seconds expires.

        Raises:
            SandboxError: as many sessions are live as may be, or none could be started.
        """
        ...

    async def close(self) -> None:
        """Stop every worker; runs in flight end as ``WORKER_LOST``."""
        ...
