"""Builds the root that a snippet sees: read-only binds of what Python needs, on an empty tmpfs.

Invariants: nothing of the host is visible that is not listed here; everything listed is read-only and nosuid;
the old root is gone when ``enter_private_root`` returns. Runs as the root of a new user and mount namespace,
as the first process of a new pid namespace. Knows nothing of snippets.
"""

import os
import site
import sys
import sysconfig

from . import syscalls

_OLD = "/.old"
_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/alternatives",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_LINKS = {"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1"}


def enter_private_root() -> str:
    """Replace the root file system; return the directory on which each run mounts its scratch space.

    That is ``/tmp``, unless Python itself is installed below it.
    """
    paths = needed_paths()
    scratch = "/scratch" if any(path.startswith("/tmp/") for path in paths) else "/tmp"
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("tmpfs", "/tmp", "tmpfs", flags, "size=1m,mode=755")
    os.mkdir("/tmp" + _OLD)
    syscalls.pivot_root("/tmp", "/tmp" + _OLD)
    os.chdir("/")
    for path in paths:
        _show(path)
    for device in _DEVICES:
        _bind(device)
    for link, target in (_LINKS | {"/dev/stderr": "/proc/self/fd/2", "/dev/shm": scratch}).items():
        os.symlink(target, link)
    _write("/etc/passwd", "user:x:1000:1000:user:/tmp:/bin/false\n")
    _write("/etc/group", "user:x:1000:\n")
    for directory in (scratch, "/proc"):
        os.makedirs(directory, exist_ok=True)
    mount_proc()
    syscalls.unmount(_OLD)
    os.rmdir(_OLD)
    syscalls.protect_mount("/", syscalls.MS_RDONLY, recursive=False)
    return scratch


def mount_proc(*, processes_only: bool = False) -> None:
    """Show this pid namespace's processes in ``/proc``, and the kernel's own files unless told not to."""
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("proc", "/proc", "proc", flags, "subset=pid" if processes_only else "")


def mount_scratch(directory: str, size_bytes: int) -> None:
    """Put an empty writable tmpfs of a fixed size on a directory."""
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("tmpfs", directory, "tmpfs", flags, f"size={size_bytes},nr_inodes=4096,mode=700")


def needed_paths() -> list[str]:
    """The files that Python and its packages need, parents before children, none below another."""
    wanted = {*_SYSTEM, *site.getsitepackages(), *_interpreter_chain(sys.executable)}
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        wanted.add(sysconfig.get_path(name))
    for prefix in {sys.prefix, sys.base_prefix, sys.base_exec_prefix}:
        wanted |= {os.path.join(prefix, part) for part in ("lib", "lib64", "pyvenv.cfg")}
    kept: list[str] = []
    for path in sorted(os.path.normpath(path) for path in wanted):
        if os.path.lexists(path) and not any(path.startswith(other + "/") for other in kept):
            kept.append(path)
    return kept


def _interpreter_chain(path: str) -> list[str]:
    chain = [path]
    while os.path.islink(path) and len(chain) < 16:
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        chain.append(path)
    return chain


def _show(path: str) -> None:
    if os.path.lexists(path):
        return
    if os.path.islink(_OLD + path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(os.readlink(_OLD + path), path)
    else:
        _bind(path)
        syscalls.protect_mount(path, syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV)


def _bind(path: str) -> None:
    if os.path.isdir(_OLD + path):
        os.makedirs(path, exist_ok=True)
    else:
        _write(path, "")
    syscalls.mount(_OLD + path, path, flags=syscalls.MS_BIND | syscalls.MS_REC)


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
