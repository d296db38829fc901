"""Finds the cgroup that this process may divide, and makes one group of it for each slot's calls.

A group gives an exact limit to the memory of all of a call's processes together, memory that no process
owns (tmpfs, memfd) included. Both versions of the interface serve: v2 where its memory controller is
delegated, else v1. Invariants: only groups below a folder of our own are made and removed; those of a
process that died are removed by the next. Knows nothing of slots or of what runs in a group.

Source of the interface: https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/memory.html.
"""

import asyncio
import contextlib
import errno
import fcntl
import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from .errors import CgroupUnavailable

_REMOVE_TRIES, _REMOVE_AGAIN_S = 200, 0.01
_OURS = "headway-"
_SERVICE = "headway-service"
_MOUNTS = "/proc/self/mountinfo"
_MEMBERSHIP = "/proc/self/cgroup"
_FILES = {
    2: ("cgroup.procs", "memory.max", "memory.peak", "memory.events"),
    1: ("cgroup.procs", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"),
}
# The kernel may kill one process of a group that grew too large; the slot ends the rest of the call.
_SETTINGS = {2: ("memory.swap.max", "0"), 1: ("memory.swappiness", "0")}


class Group:
    """One group; ``files`` are descriptors of its members, limit, peak and events, for a slot to use."""

    def __init__(self, path: Path, version: int) -> None:
        self._path = path
        path.mkdir()
        name, value = _SETTINGS[version]
        with contextlib.suppress(OSError):  # there is no such file in a kernel without swap
            (path / name).write_text(value)
        self.files: list[int] = []
        try:
            for name in _FILES[version]:
                self.files.append(_open(path / name))
        except BaseException:
            self.remove()
            raise

    def close_files(self) -> None:
        """Close this process's descriptors, once the slot has its own."""
        while self.files:
            os.close(self.files.pop())

    def remove(self) -> bool:
        """Remove the group; False while processes are still in it."""
        self.close_files()
        try:
            self._path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


class Cgroups:
    """The folder below which this process makes its groups. ``find`` makes one."""

    def __init__(self, parent: Path, version: int) -> None:
        self.version = version
        self._parent = parent
        self._numbers = itertools.count()
        self._ended: list[Group] = []
        self._lock = -1
        self._make_folder()

    @classmethod
    def find(cls) -> Self:
        """Make the folder in the cgroup that this process may divide.

        Raises:
            CgroupUnavailable: there is none; the message says why.
        """
        memberships = _memberships(Path(_MEMBERSHIP).read_text(encoding="utf-8"))
        mounts = _mounts(Path(_MOUNTS).read_text(encoding="utf-8"))
        reasons = []
        for version in (2, 1):
            if version not in mounts or version not in memberships:
                continue
            mount, root = mounts[version]
            inside = os.path.relpath(memberships[version], root)
            own = mount if inside.startswith("..") else mount / inside
            try:
                parent = _divisible(own, mount) if version == 2 else own
                _remove_left_over(parent)
                return cls(parent, version)
            except OSError as error:
                reasons.append(f"cgroup v{version}: {error.filename or own}: {error.strerror}")
        raise CgroupUnavailable("; ".join(reasons) or "no cgroup with a memory controller is mounted")

    def make(self) -> Group:
        """Make a group; raises ``OSError``."""
        self._ended = [group for group in self._ended if not group.remove()]
        if not self._folder.exists():
            self._make_folder()
        return Group(self._folder / str(next(self._numbers)), self.version)

    def end(self, group: Group) -> None:
        """Remove a group now, or once its processes are gone."""
        if not group.remove():
            self._ended.append(group)

    async def close(self) -> None:
        """Remove what was made, once the processes in it are gone; a later process removes what stays."""
        for _ in range(_REMOVE_TRIES):
            self._ended = [group for group in self._ended if not group.remove()]
            if not self._ended:
                break
            await asyncio.sleep(_REMOVE_AGAIN_S)
        with contextlib.suppress(OSError):
            self._folder.rmdir()
        self._unlock()

    def _make_folder(self) -> None:
        """Make the folder and hold a lock on it, which says that somebody lives who needs it."""
        self._folder = self._parent / f"{_OURS}{os.urandom(8).hex()}"
        self._folder.mkdir()
        self._unlock()
        self._lock = os.open(self._folder, os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if self.version == 2:
            (self._folder / "cgroup.subtree_control").write_text("+memory")

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _open(path: Path) -> int:
    for mode in (os.O_RDWR, os.O_WRONLY):
        with contextlib.suppress(PermissionError):
            return os.open(path, mode | os.O_CLOEXEC)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _memberships(text: str) -> dict[int, str]:
    """This process's cgroup by version, from ``/proc/self/cgroup``."""
    found = {}
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            found[2] = path
        elif "memory" in controllers.split(","):
            found[1] = path
    return found


def _mounts(text: str) -> dict[int, tuple[Path, str]]:
    """Where each version is mounted and which cgroup is that mount's root, from ``/proc/self/mountinfo``."""
    found: dict[int, tuple[Path, str]] = {}
    for line in text.splitlines():
        own, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        root, mount = own.split(" ")[3:5]
        if kind == "cgroup2" and "memory" in _words(Path(mount) / "cgroup.controllers"):
            found.setdefault(2, (Path(mount), root))
        elif kind == "cgroup" and "memory" in options.split(","):
            found.setdefault(1, (Path(mount), root))
    return found


def _divisible(own: Path, mount: Path) -> Path:
    """The v2 cgroup whose children may have memory limits and may be made by this process: its own, if any.

    Never one above it, whose limits are other people's. A cgroup with processes in it cannot be divided:
    where ours has only this process and its children, they move into a child of it first.
    """
    if own.name == _SERVICE and own != mount:  # where an earlier sandbox of this process moved us
        own = own.parent
    if "memory" in _words(own / "cgroup.subtree_control"):
        return own
    if "memory" not in _words(own / "cgroup.controllers"):
        raise OSError(errno.EPERM, "the memory controller is not delegated to it", str(own))
    members = {int(pid) for pid in _words(own / "cgroup.procs")}
    if not members <= _family():
        raise OSError(errno.EBUSY, "it has other processes in it and cannot be divided", str(own))
    leaf = own / _SERVICE
    leaf.mkdir(exist_ok=True)
    try:
        _move(members, leaf)
        (own / "cgroup.subtree_control").write_text("+memory")
    except OSError:
        _move(members, own)
        with contextlib.suppress(OSError):
            leaf.rmdir()
        raise
    return own


def _move(pids: Iterable[int], folder: Path) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            (folder / "cgroup.procs").write_text(str(pid))


def _family() -> set[int]:
    """This process and its descendants."""
    found = [os.getpid()]
    for pid in found:
        for task in _listed(Path(f"/proc/{pid}/task")):
            found += map(int, _words(Path(f"/proc/{pid}/task/{task}/children")))
    return set(found)


def _remove_left_over(parent: Path) -> None:
    """Remove the folders that nobody holds the lock of any more."""
    for name in _listed(parent):
        folder = parent / name
        if not name.startswith(_OURS) or name == _SERVICE:
            continue
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for group in (each for each in folder.iterdir() if each.is_dir()):
                    group.rmdir()
                folder.rmdir()
            finally:
                os.close(lock)


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []
