"""Estimates the memory that a run's processes hold together, where no cgroup says it (tier B).

First a cheap upper bound from sizes; only where that is over the limit the exact shares: pages shared with
the zygote by their share, page tables, anonymous shared mappings by their size (their pages need not be
mapped by anyone), and for each socket what its buffer may hold. Knows nothing of what follows from it.
"""

import os
import time
from collections.abc import Iterator, Sequence

_PAGE = os.sysconf("SC_PAGE_SIZE")
_BYTES_MAPPED_BY_ENTRY = 512  # a page table's entry of 8 bytes for every page of 4 KiB
_SOCKET_BYTES = 2 * 212_992
_USUAL_FDS = 16
_SHARED = "/dev/zero (deleted)"


def held_memory(pids: Sequence[int], limit: int, deadline: float) -> int:
    """Bytes that the processes hold; exact as far as that matters for whether they are over the limit.

    What this process has mapped, they were forked with: it does not count. Looking ends at the deadline.
    """
    inherited = _unowned(f"/proc/{os.getpid()}")
    bound = sum(_upper_bound(pid, inherited) for pid in pids)
    if bound <= limit:
        return bound
    shared: dict[str, int] = {}
    sockets: set[str] = set()
    total = 0
    for pid in pids:
        for task in _living_task(pid):
            own = _shared_mappings(task)
            shared |= {mapping: max(size, shared.get(mapping, 0)) for mapping, size in own.items()}
            total += _kib(f"{task}/smaps_rollup", "Pss_Anon", "SwapPss", *([] if own else ["Pss_Shmem"]))
            total += _kib(f"{task}/status", "VmPTE")
            sockets.update(_sockets(task))
        if time.monotonic() >= deadline:
            break
    return total + sum(shared.values()) + _SOCKET_BYTES * len(sockets)


def _living_task(pid: int) -> Iterator[str]:
    """Where to look at a process: itself, or another thread once its first has ended."""
    state = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if state and state[0] != "Z":
        yield f"/proc/{pid}"
    elif state:
        yield from (f"/proc/{pid}/task/{task}" for task in _names(f"/proc/{pid}/task") if task != str(pid))


def _upper_bound(pid: int, inherited: int) -> int:
    bound = 0
    for task in _living_task(pid):
        size, resident, *_ = _statm(task)
        unowned = max(0, _unowned(task) - inherited)
        bound = max(bound, resident + unowned + size // _BYTES_MAPPED_BY_ENTRY)
    return bound + max(0, _open_files(pid) - _USUAL_FDS) * _SOCKET_BYTES


def _unowned(task: str) -> int:
    """Bytes mapped that are neither private data nor resident: files, and what may be nobody's."""
    size, _, file_backed_or_shared, _, _, data, _ = _statm(task)
    return size - data - file_backed_or_shared


def _statm(task: str) -> list[int]:
    return [int(field) * _PAGE for field in _read(f"{task}/statm").split()] or [0] * 7


def _shared_mappings(task: str) -> dict[str, int]:
    """The anonymous shared mappings of a task, by inode: their pages stay while one of them is mapped."""
    found: dict[str, int] = {}
    for line in _read(f"{task}/maps").splitlines():
        if line.endswith(_SHARED):
            span, _, _, _, inode, *_ = line.split()
            start, end = (int(address, 16) for address in span.split("-"))
            found[inode] = max(found.get(inode, 0), end - start)
    return found


def _open_files(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/fd").st_size or len(_names(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _sockets(task: str) -> Iterator[str]:
    for fd in _names(f"{task}/fd"):
        try:
            target = os.readlink(f"{task}/fd/{fd}")
        except OSError:
            continue
        if target.startswith("socket:"):
            yield target


def _kib(path: str, *keys: str) -> int:
    total = 0
    for line in _read(path).splitlines():
        key, _, value = line.partition(":")
        if key in keys:
            total += int(value.split()[0]) << 10
    return total


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
