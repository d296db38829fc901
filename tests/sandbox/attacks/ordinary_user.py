"""Turns into a given command, as an ordinary user: ``python -m tests.sandbox.attacks.ordinary_user COMMAND``.

Started by root, it takes a user that owns nothing, and first makes Python readable to it where it lies below
a closed folder such as /root: in a mount namespace of its own the closed folder is replaced by an open one
that holds only what Python needs. Started by anyone else, it is that user already.
"""

import os
import stat
import sys
from pathlib import Path

from headway.sandbox.jail import syscalls

ORDINARY_ID = 65533
PROJECT = Path(__file__).resolve().parents[3]


def main(command: list[str]) -> None:
    """Never returns."""
    if os.geteuid() == 0:
        open_up([PROJECT, *(Path(path).resolve() for path in (sys.prefix, sys.base_prefix))])
        os.setgroups([])
        os.setresgid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID)
        os.setresuid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID)
    os.execv(command[0], command)


def open_up(needed: list[Path]) -> None:
    """Let everyone reach the needed folders, as seen by this process and its children."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    while closed := next(
        (folder for path in needed for folder in reversed(path.parents) if _is_closed(folder)), None
    ):
        kept = {path: os.open(path, os.O_PATH) for path in needed if closed in path.parents}
        syscalls.mount("tmpfs", str(closed), "tmpfs", data="size=1m,mode=755")
        for path, fd in kept.items():
            path.mkdir(parents=True, exist_ok=True)
            syscalls.mount(f"/proc/self/fd/{fd}", str(path), flags=syscalls.MS_BIND | syscalls.MS_REC)
            os.close(fd)


def _is_closed(folder: Path) -> bool:
    return not folder.stat().st_mode & stat.S_IXOTH


if __name__ == "__main__":
    main(sys.argv[1:])
