"""The Linux system calls that Python does not wrap, through ctypes.

Invariant: a failed call raises ``OSError`` with its errno. Knows nothing of what the calls are used for.
"""

import ctypes
import os
import platform

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CLOSE_RANGE = 436
_MOUNT_SETATTR = 442

_libc = ctypes.CDLL(None, use_errno=True)


class SockFprog(ctypes.Structure):
    """A seccomp program, as the kernel takes it."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def machine_number(numbers: dict[str, int]) -> int:
    """Pick this machine's entry, or raise ``OSError`` on a machine that has none."""
    try:
        return numbers[platform.machine()]
    except KeyError:
        raise OSError(f"no system call numbers for {platform.machine()}") from None


def _checked(result: int, name: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _syscall(number: int, name: str, *arguments: object) -> None:
    _checked(_libc.syscall(ctypes.c_long(number), *arguments), name)


def numbered(number: int, name: str, *arguments: object) -> int:
    """Make a system call that libc has no function for; integers are passed as longs."""
    longs = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    result = int(_libc.syscall(ctypes.c_long(number), *longs))
    _checked(result, name)
    return result


def unshare(flags: int) -> None:
    """Give this process new namespaces."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, flags: int) -> None:
    """Enter the namespace behind ``fd``; for a pid namespace, its future children do."""
    _checked(_libc.setns(ctypes.c_int(fd), ctypes.c_int(flags)), "setns")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str = "") -> None:
    """Attach a file system or, with ``MS_BIND``, a path."""
    encoded = kind.encode() if kind else None
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), encoded, ctypes.c_ulong(flags), data.encode()
    )
    _checked(result, f"mount {target}")


def unmount(target: str) -> None:
    """Detach a mount and all below it, even if in use."""
    _checked(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def protect_mount(target: str, attributes: int, *, recursive: bool = True) -> None:
    """Add mount attributes (read-only, nosuid, nodev) to a mount and, by default, all below it."""
    attr = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    _syscall(
        _MOUNT_SETATTR,
        f"mount_setattr {target}",
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        ctypes.byref(attr),
        ctypes.c_size_t(32),
    )


def pivot_root(new_root: str, put_old: str) -> None:
    """Make ``new_root`` the root of this mount namespace."""
    _syscall(machine_number(_PIVOT_ROOT), "pivot_root", os.fsencode(new_root), os.fsencode(put_old))


def prctl(option: int, value: int = 0) -> None:
    """Change an attribute of this process."""
    zero = ctypes.c_ulong(0)
    _checked(_libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero), f"prctl {option}")


def drop_bounding_set() -> None:
    """Make every capability unobtainable for this process and its children."""
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            return


def drop_capabilities() -> None:
    """Give up every capability that this process holds."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _syscall(machine_number(_CAPSET), "capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def close_from(first: int) -> None:
    """Close every descriptor from ``first`` on."""
    _syscall(_CLOSE_RANGE, "close_range", ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(0))


def install_filter(program: bytes) -> None:
    """Install a compiled seccomp program for good; needs ``no_new_privs``."""
    prog = SockFprog(len(program) // 8, program)
    zero = ctypes.c_ulong(0)
    result = _libc.prctl(
        ctypes.c_int(PR_SET_SECCOMP), ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(prog), zero, zero
    )
    _checked(result, "seccomp")
