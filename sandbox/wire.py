"""The two messages between the parent and a slot: a call, and how it ended.

Both are numbers in a fixed layout. Code and input never pass through a slot, nor does output: they are in
files that the parent makes for each call (``call_files``) and the slot only hands on, because a slot's memory
is inherited by every child that it forks. Standard library only: a zygote loads this file, too.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

_CALL = struct.Struct("!ddQQQQBQQd")
_ENDING = struct.Struct("!BiBddQB")
CALL_BYTES = _CALL.size
ENDING_BYTES = _ENDING.size
CALL_FILES = 4
CANCEL = b"X"  # in place of a call: end the one that runs now


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
    KILLED = 8


class Kind(IntEnum):
    """What a call asks for: a run in a fresh process, or something of a session's states."""

    RUN = 0
    CELL = 1
    BRANCH = 2
    DROP = 3


class Call(NamedTuple):
    """One run that is asked of a slot; code, stdin, stdout and stderr come along as four open files.

    ``state`` is the session's state that a cell goes on from, that a branch copies (as the state ``branch``)
    or that is dropped; these last two have no files. ``answer_s`` is how long a state may take to answer.
    """

    wall_s: float
    cpu_s: float
    memory_bytes: int
    disk_bytes: int
    output_bytes: int
    processes: int
    kind: Kind = Kind.RUN
    state: int = 0
    branch: int = 0
    answer_s: float = 0.0


class Ending(NamedTuple):
    """What a slot observed. ``wait_status`` is the kernel's, as ``os.wait4`` returns it.

    ``memory_error`` is the runner's note that an uncaught ``MemoryError`` ended the program; ``kept`` says
    that a session's state now holds what its cell did.
    """

    cause: Cause
    wait_status: int = 0
    memory_error: bool = False
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_bytes: int = 0
    kept: bool = False


def pack_call(call: Call) -> bytes:
    """Encode a call."""
    return _CALL.pack(*call)


def unpack_call(message: bytes) -> Call:
    """Decode a call; raises ``struct.error``."""
    call = Call(*_CALL.unpack(message))
    return call._replace(kind=Kind(call.kind))


def pack_ending(ending: Ending) -> bytes:
    """Encode an ending."""
    return _ENDING.pack(*ending)


def unpack_ending(message: bytes) -> Ending:
    """Decode an ending; raises ``struct.error``."""
    cause, wait_status, memory_error, cpu_s, wall_s, peak, kept = _ENDING.unpack(message)
    return Ending(Cause(cause), wait_status, bool(memory_error), cpu_s, wall_s, peak, bool(kept))
