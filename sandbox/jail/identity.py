"""Who a zygote is: maps users into new user namespaces, and gives up being root.

Invariant: a snippet's user is never the host's root: RLIMIT_NPROC does not bind that one.
"""

import os

from . import syscalls

UNPRIVILEGED_ID = 65534


def map_identity(uid_map: str, gid_map: str, *, process: str = "self") -> None:
    """Write a process's user and group maps; a lone user may map only itself, and must deny setgroups."""
    if process == "self":
        _write(process, "setgroups", "deny")
    _write(process, "uid_map", uid_map)
    _write(process, "gid_map", gid_map)


def become_unprivileged() -> None:
    """Change from root to the user that owns nothing; ``/proc/self`` stays this process's own."""
    os.setgroups([])
    os.setresgid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    os.setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)


def _write(process: str, name: str, text: str) -> None:
    with open(f"/proc/{process}/{name}", "w", encoding="ascii") as file:
        file.write(text)
