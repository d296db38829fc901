"""Compiles the list of allowed system calls into a seccomp program.

Invariants: what is not listed fails with EPERM; what is newer than the table fails with ENOSYS, so that libc
falls back; a foreign architecture (32-bit, x32) kills the process. Arguments are checked where one call does
both harmless and dangerous things. Knows nothing of who installs the program.
"""

import errno
import platform
import struct

from .syscall_numbers import AARCH64, X86_64

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_ERRNO = 0x00050000

_LOAD, _JUMP_EQ, _JUMP_GT, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGUMENTS = 0, 4, 16

_ARCHITECTURES = {"x86_64": (0xC000003E, X86_64), "aarch64": (0xC00000B7, AARCH64)}
_X32_BIT = 0x40000000
_FIRST_UNKNOWN = 452

_NAMESPACE_FLAGS = 0x7E020000
_SIGCHLD = 17
_NEVER = frozenset({"clone3"})
_ALLOWED_VALUES = {
    "prctl": (0, (3, 15, 16, 23, 0x53564D41)),  # GET_DUMPABLE, SET_NAME, GET_NAME, CAPBSET_READ, SET_VMA
    "ioctl": (1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),  # TCGETS, window size, FION*, FIO*CLEX
    "socketpair": (0, (1,)),  # AF_UNIX
    "prlimit64": (0, (0,)),  # itself only
    # Descriptors, flags, locks, seals; no leases, notifications, signals or larger pipes.
    "fcntl": (1, (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032, 1033, 1034)),
}


def compile_filter(machine: str | None = None, *, refusal: int | None = None) -> bytes:
    """Return the program for a machine (default: this one); ``OSError`` where none is known.

    ``refusal`` is what seccomp does with a call that is not allowed, instead of failing it.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(f"no seccomp filter for {machine}")
    architecture, numbers = _ARCHITECTURES[machine]
    program = [
        _op(_LOAD, _OFFSET_ARCH),
        _op(_JUMP_EQ, architecture, 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _OFFSET_NUMBER),
    ]
    if machine == "x86_64":
        program += [_op(_JUMP_GE, _X32_BIT, 0, 1), _op(_RETURN, _KILL)]
    refuse = _deny(errno.EPERM) if refusal is None else _op(_RETURN, refusal)
    unknown = _deny(errno.ENOSYS) if refusal is None else _op(_RETURN, refusal)
    program += [_op(_JUMP_GE, _FIRST_UNKNOWN, 0, 1), unknown]
    program += [_op(_JUMP_EQ, numbers["clone3"], 0, 1), _deny(errno.ENOSYS)]
    program += _clone_rule(numbers["clone"], refuse)
    program += _sigaction_rule(numbers["rt_sigaction"], refuse)
    for name, (argument, values) in _ALLOWED_VALUES.items():
        program += _value_rule(numbers[name], argument, values, refuse)
    special = {"clone", "rt_sigaction", *_NEVER, *_ALLOWED_VALUES}
    for low, high in _ranges(sorted(number for name, number in numbers.items() if name not in special)):
        program += [_op(_JUMP_GE, low, 0, 2), _op(_JUMP_GT, high, 1, 0), _op(_RETURN, _ALLOW)]
    program.append(refuse)
    return b"".join(program)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _deny(code: int) -> bytes:
    return _op(_RETURN, _ERRNO | code)


def _argument(index: int) -> bytes:
    return _op(_LOAD, _OFFSET_ARGUMENTS + 8 * index)


def _clone_rule(number: int, refuse: bytes) -> list[bytes]:
    return [
        _op(_JUMP_EQ, number, 0, 4),
        _argument(0),
        _op(_JUMP_SET, _NAMESPACE_FLAGS, 0, 1),
        refuse,
        _op(_RETURN, _ALLOW),
    ]


def _sigaction_rule(number: int, refuse: bytes) -> list[bytes]:
    """Refuse to change what SIGCHLD does: of children that it makes vanish nobody would count the time."""
    return [
        _op(_JUMP_EQ, number, 0, 9),
        _argument(0),
        _op(_JUMP_EQ, _SIGCHLD, 1, 0),
        _op(_RETURN, _ALLOW),
        _argument(1),
        _op(_JUMP_EQ, 0, 0, 3),
        _op(_LOAD, _OFFSET_ARGUMENTS + 8 * 1 + 4),
        _op(_JUMP_EQ, 0, 0, 1),
        _op(_RETURN, _ALLOW),
        refuse,
    ]


def _value_rule(number: int, argument: int, values: tuple[int, ...], refuse: bytes) -> list[bytes]:
    body = [_argument(argument)]
    for value in values:
        body += [_op(_JUMP_EQ, value, 0, 1), _op(_RETURN, _ALLOW)]
    body.append(refuse)
    return [_op(_JUMP_EQ, number, 0, len(body)), *body]


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges
