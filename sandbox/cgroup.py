"""Finds the cgroup that this process may divide, and makes one group of it for each slot's calls.

A group gives an exact limit to the memory of all of a call's processes together, memory that no process
owns (tmpfs, memfd) included. Both versions of the interface serve: v2 where its memory controller is
delegated, else v1. Invariants: only groups below a folder of our own are made and removed; those of a
process that died are removed by the next. Knows nothing of slots or of what runs in a group.

Source of the interface: https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/memory.html.
"""

import asyncio
import contextlib
import itertools
import os
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
        self.files = [_open(path / name) for name in _FILES[version]]

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

    def __init__(self, folder: Path, version: int) -> None:
        self.version = version
        self._folder = folder
        self._numbers = itertools.count()
        self._ended: list[Group] = []

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
                folder = parent / f"{_OURS}{os.getpid()}-{os.urandom(4).hex()}"
                folder.mkdir()
                if version == 2:
                    (folder / "cgroup.subtree_control").write_text("+memory")
                return cls(folder, version)
            except OSError as error:
                reasons.append(f"cgroup v{version}: {error.filename or own}: {error.strerror}")
        raise CgroupUnavailable("; ".join(reasons) or "no cgroup with a memory controller is mounted")

    def make(self) -> Group:
        """Make a group; raises ``OSError``."""
        self._ended = [group for group in self._ended if not group.remove()]
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
    """The nearest v2 cgroup whose children may have memory limits and may be made by this process.

    A cgroup with processes in it cannot be divided: where ours has only this process and its children, they
    move into a child of it first.
    """
    for folder in (own, *own.parents):
        if "memory" in _words(folder / "cgroup.subtree_control") and os.access(folder, os.W_OK):
            return folder
        if folder == mount:
            break
    if "memory" not in _words(own / "cgroup.controllers"):
        raise OSError(1, "the memory controller is not delegated to it", str(own))
    members = {int(pid) for pid in _words(own / "cgroup.procs")}
    if not members <= _family():
        raise OSError(16, "it has other processes in it and cannot be divided", str(own))
    leaf = own / _SERVICE
    leaf.mkdir(exist_ok=True)
    for pid in members:
        (leaf / "cgroup.procs").write_text(str(pid))
    (own / "cgroup.subtree_control").write_text("+memory")
    return own


def _family() -> set[int]:
    """This process and its descendants."""
    found = [os.getpid()]
    for pid in found:
        for task in _listed(Path(f"/proc/{pid}/task")):
            found += map(int, _words(Path(f"/proc/{pid}/task/{task}/children")))
    return set(found)


def _remove_left_over(parent: Path) -> None:
    for name in _listed(parent):
        pid = name.removeprefix(_OURS).partition("-")[0]
        if name.startswith(_OURS) and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            for group in _listed(parent / name):
                with contextlib.suppress(OSError):
                    (parent / name / group).rmdir()
            with contextlib.suppress(OSError):
                (parent / name).rmdir()


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
