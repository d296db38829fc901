"""The two messages between the parent and a slot: a call, and how it ended.

Both are a fixed header and raw bytes; neither side ever unpickles or evaluates what the other sent.
Standard library only: a zygote loads this file, too. Knows nothing of sockets or processes.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

_CALL = struct.Struct("!QQddQQQQBQQ")
_ENDING = struct.Struct("!BiBQQQQddQB")
CALL_HEADER_BYTES = _CALL.size
ENDING_HEADER_BYTES = _ENDING.size


class Cause(IntEnum):
    """Why a run ended, as its slot knows from the kernel and from the clock."""

    EXITED = 0
    WALL = 1
    CPU = 2
    MEMORY = 3
    OUTPUT = 4
    PROCESSES = 5
    FAULT = 6
    GONE = 7


class Kind(IntEnum):
    """What a call asks for: a run in a fresh process, or something of a session's states."""

    RUN = 0
    CELL = 1
    BRANCH = 2
    DROP = 3


class Call(NamedTuple):
    """One run that is asked of a slot.

    ``state`` is the session's state that a cell goes on from, that a branch copies (as the state ``branch``)
    or that is dropped.
    """

    code: bytes
    stdin: bytes
    wall_s: float
    cpu_s: float
    memory_bytes: int
    disk_bytes: int
    output_bytes: int
    processes: int
    kind: Kind = Kind.RUN
    state: int = 0
    branch: int = 0


class Ending(NamedTuple):
    """What a slot observed. ``wait_status`` is the kernel's, as ``os.wait4`` returns it.

    ``memory_error`` is the runner's note that an uncaught ``MemoryError`` ended the program; ``kept`` says
    that a session's state now holds what its cell did.
    """

    cause: Cause
    wait_status: int
    memory_error: bool
    stdout: bytes
    stderr: bytes
    stdout_dropped: int
    stderr_dropped: int
    cpu_s: float
    wall_s: float
    peak_memory_bytes: int
    kept: bool = False


def pack_call(call: Call) -> bytes:
    """Encode a call: header, code, standard input."""
    code, stdin, *numbers = call
    return _CALL.pack(len(code), len(stdin), *numbers) + code + stdin


def call_body_sizes(header: bytes) -> tuple[int, int]:
    """Return how many bytes of code and of standard input follow a call's header."""
    code, stdin, *_ = _CALL.unpack(header)
    return code, stdin


def unpack_call(header: bytes, code: bytes, stdin: bytes) -> Call:
    """Decode a call."""
    _, _, wall_s, cpu_s, memory, disk, output, processes, kind, state, branch = _CALL.unpack(header)
    return Call(code, stdin, wall_s, cpu_s, memory, disk, output, processes, Kind(kind), state, branch)


def pack_ending(ending: Ending) -> bytes:
    """Encode an ending: header, stdout, stderr."""
    cause, status, memory_error, stdout, stderr, *numbers = ending
    header = _ENDING.pack(cause, status, memory_error, len(stdout), len(stderr), *numbers)
    return header + stdout + stderr


def ending_body_sizes(header: bytes) -> tuple[int, int]:
    """Return how many bytes of stdout and of stderr follow an ending's header."""
    fields = _ENDING.unpack(header)
    return fields[3], fields[4]


def unpack_ending(header: bytes, stdout: bytes, stderr: bytes) -> Ending:
    """Decode an ending."""
    cause, status, memory_error, _, _, *numbers = _ENDING.unpack(header)
    out_dropped, err_dropped, cpu_s, wall_s, peak, kept = numbers
    return Ending(
        Cause(cause),
        status,
        bool(memory_error),
        stdout,
        stderr,
        out_dropped,
        err_dropped,
        cpu_s,
        wall_s,
        peak,
        bool(kept),
    )
