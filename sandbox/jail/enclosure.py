"""What a slot puts its children into: a pid namespace of their own where there are namespaces, and limits.

Invariant: ``members`` finds every process that ever came of the slot's children and is still there. Knows
nothing of what the children run.
"""

import os
from collections.abc import Callable

from ..wire import Call
from . import filesystem, landlock, syscalls, tree
from .confinement import Bounds, Isolation, confine, seal
from .memory_group import MemoryGroup
from .watch import HARD_OUTPUT_FACTOR


class Enclosure:
    """The isolation of one slot's children."""

    def __init__(self, isolation: Isolation, program: bytes, group: MemoryGroup | None) -> None:
        self.isolation = isolation
        self.group = group
        self._landlock_abi = landlock.abi()
        self._program = program
        self.members: Callable[[], list[int]] = tree.descendants
        if isolation is Isolation.NAMESPACES:
            filesystem.mount_proc()
            syscalls.drop_bounding_set()
            self._own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY)
            self.members = tree.private_tree
        else:
            syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        self._data_bytes = tree.data_bytes()

    def fork(self) -> int:
        """Fork; the child is the first process of a new pid namespace, whose end is the end of all in it."""
        if self.isolation is Isolation.NAMESPACES:
            syscalls.setns(self._own_pid_namespace, syscalls.CLONE_NEWPID)
            syscalls.unshare(syscalls.CLONE_NEWPID)
        return os.fork()

    def confine(self, call: Call, scratch: str, *, helpers: int = 0, first_closed: int = 3) -> None:
        """Confine the calling child but for its filter; ``helpers`` are processes beside the call's own."""
        if self.group is not None:
            self.group.enter()
        most_output = 2 * HARD_OUTPUT_FACTOR * call.output_bytes
        bounds = Bounds(call.cpu_s, call.memory_bytes, call.disk_bytes, most_output, call.processes + helpers)
        confine(
            self.isolation,
            bounds,
            scratch=scratch,
            data_bytes=self._data_bytes,
            landlock_abi=self._landlock_abi,
            first_closed=first_closed,
        )

    def seal(self) -> None:
        """Install the filter in the calling child."""
        seal(self.isolation, self._program)

    def end_all(self) -> None:
        """End what no pid namespace ends with its first process."""
        if self.isolation is not Isolation.NAMESPACES:
            tree.end_descendants()
