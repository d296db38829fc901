"""Confines a process once more, by Landlock: it writes below its scratch space only, and reaches nobody.

All of it holds without Landlock, too, by mounts and namespaces; this is a second wall of other bricks.
Where the kernel has no Landlock, nothing is done. Knows nothing of who calls it.

Source of the interface: https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os

from . import syscalls

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1

_WRITE_FILE, _MAKE_AND_REMOVE = 1 << 1, 0b1111111110000
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_BIND_AND_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
_SPECIAL = ("/dev", "/proc")


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """The kernel's version of Landlock; 0 where it has none or is told to use none."""
    try:
        return syscalls.numbered(_CREATE_RULESET, "landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


def restrict(version: int, scratch: str) -> None:
    """Confine this process for good; ``version`` is what ``abi`` returned. Needs ``no_new_privs``."""
    if version == 0:
        return
    writing = _WRITE_FILE | _MAKE_AND_REMOVE
    writing |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attr = _RulesetAttr(
        writing,
        _BIND_AND_CONNECT_TCP if version >= 4 else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0,
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = syscalls.numbered(_CREATE_RULESET, "landlock_create_ruleset", ctypes.byref(attr), size, 0)
    _allow(ruleset, scratch, writing)
    for folder in _SPECIAL:
        _allow(ruleset, folder, writing & (_WRITE_FILE | _TRUNCATE))
    syscalls.numbered(_RESTRICT_SELF, "landlock_restrict_self", ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, folder: str, access: int) -> None:
    fd = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneathAttr(access, fd)
        syscalls.numbered(_ADD_RULE, "landlock_add_rule", ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(fd)
