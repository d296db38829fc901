"""Takes every freedom from a forked child that its snippet must not have, in the order that the kernel needs.

Invariant: when ``confine`` and ``seal`` returned, the process has its limits, no capability, only the
descriptors that it was left and (unless isolation was waived) its seccomp filter; none of it can be undone.
An error leaves nothing half done: the child must exit. Knows nothing of snippets or results.
"""

import math
import os
import resource
from enum import StrEnum
from typing import NamedTuple

from . import filesystem, landlock, syscalls


class Isolation(StrEnum):
    """What encloses a snippet."""

    NAMESPACES = "namespaces"
    FILTER_ONLY = "filter only"
    UNSAFE = "nothing"


class Bounds(NamedTuple):
    """The limits of one run that the kernel enforces for each of its processes."""

    cpu_s: float
    memory_bytes: int
    disk_bytes: int
    output_bytes: int
    processes: int


_OPEN_FILES = 72
_STACK_BYTES = 8 << 20
_NO_CORE_HANDLER = 1  # 0 would keep the kernel from writing a core, but not from starting the host's handler


def confine(
    isolation: Isolation,
    bounds: Bounds,
    *,
    scratch: str,
    data_bytes: int,
    landlock_abi: int,
    first_closed: int = 3,
) -> None:
    """Confine this process but for its filter; ``data_bytes`` is what it holds already, free of charge."""
    os.setsid()
    if isolation is Isolation.NAMESPACES:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        filesystem.mount_proc(processes_only=True)
        filesystem.mount_scratch(scratch, bounds.disk_bytes)
    else:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
    os.chdir(scratch)
    syscalls.close_from(first_closed)
    _limit(bounds, data_bytes, count_processes=isolation is Isolation.NAMESPACES)
    if isolation is not Isolation.UNSAFE:
        syscalls.drop_capabilities()
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict(landlock_abi, scratch)


def seal(isolation: Isolation, program: bytes) -> None:
    """Install the filter of system calls: the last step, after which no other is possible."""
    if isolation is not Isolation.UNSAFE:
        syscalls.install_filter(program)


def _limit(bounds: Bounds, data_bytes: int, *, count_processes: bool) -> None:
    cpu_s = math.ceil(bounds.cpu_s) + 1
    _set(resource.RLIMIT_CPU, cpu_s)
    _set(resource.RLIMIT_DATA, data_bytes + bounds.memory_bytes)
    _set(resource.RLIMIT_FSIZE, max(bounds.disk_bytes, bounds.output_bytes))
    _set(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _set(resource.RLIMIT_STACK, _STACK_BYTES)
    for unused in (resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE):
        _set(unused, 0)
    _set(resource.RLIMIT_CORE, _NO_CORE_HANDLER)
    if count_processes:
        _set(resource.RLIMIT_NPROC, bounds.processes + 1)


def _set(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
