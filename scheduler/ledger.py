"""The one place that does KV arithmetic: which trajectories' KV is counted on which engine, in blocks.

Invariants: a trajectory is counted on at most one engine; a segment that several contexts begin with (a
system prompt, the prompt of a group) is counted once an engine, as the whole blocks that an engine's prefix
cache can share (segments that differ in whole blocks share nothing); when every trajectory is released every
account is zero. Updated at decision time: what engines report lags, and only calibrates.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray


class Capacity(msgspec.Struct, frozen=True):
    """The KV cache of one engine."""

    tokens: int
    block_size: int

    @property
    def blocks(self) -> int:
        """Whole blocks."""
        return self.tokens // self.block_size


class Segment(msgspec.Struct, frozen=True):
    """Tokens that several contexts have in common, up to ``end``; segments follow each other from the
    start."""

    key: str
    end: int


@dataclass(slots=True)
class _Entry:
    engine: str
    shared: tuple[Segment, ...]
    context: int


@dataclass(slots=True)
class _Account:
    index: int
    capacity: Capacity
    held: dict[str, _Entry] = field(default_factory=dict)
    blocks: int = 0
    changes: int = 0


class _Holders:
    """How many trajectories on which engine (by index) begin with a segment."""

    __slots__ = ("counts", "indices")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.indices: NDArray[np.intp] | None = None

    def add(self, index: int) -> bool:
        """Count one more; says whether it is the engine's first."""
        count = self.counts.get(index, 0)
        self.counts[index] = count + 1
        if not count:
            self.indices = None
        return not count

    def remove(self, index: int) -> bool:
        """Count one less; says whether it was the engine's last."""
        self.counts[index] -= 1
        if self.counts[index]:
            return False
        del self.counts[index]
        self.indices = None
        return True

    def array(self) -> NDArray[np.intp]:
        """The engines' indices."""
        if self.indices is None:
            self.indices = np.fromiter(self.counts, dtype=np.intp, count=len(self.counts))
        return self.indices


class KvLedger:
    """Counts KV blocks by engine. All sizes given are in tokens, answers in blocks where not said otherwise.

    ``tokens`` holds the unique tokens counted (whole blocks), ``capacities`` the KV cache in tokens (whole
    blocks), and ``counted`` the number of trajectories, of each engine in the order in which they were
    given; ``changes`` grows with every change.
    """

    def __init__(self, capacities: Mapping[str, Capacity]) -> None:
        self._accounts = {
            engine: _Account(index, capacity) for index, (engine, capacity) in enumerate(capacities.items())
        }
        self._entries: dict[str, _Entry] = {}
        self._holders: dict[tuple[str, int, int], _Holders] = {}
        self._block_sizes = np.array([c.block_size for c in capacities.values()], dtype=np.float64)
        self._distinct = sorted({c.block_size for c in capacities.values()})
        self.changes = 0
        self.tokens = np.zeros(len(capacities))
        self.counted = np.zeros(len(capacities))
        self.capacities = np.array([c.blocks * c.block_size for c in capacities.values()], dtype=np.float64)

    def index(self, engine: str) -> int:
        """The engine's place in the arrays."""
        return self._accounts[engine].index

    def capacity(self, engine: str) -> int:
        """Blocks that the engine has."""
        return self._accounts[engine].capacity.blocks

    def block_size(self, engine: str) -> int:
        """Tokens in a block of the engine."""
        return self._accounts[engine].capacity.block_size

    def changes_of(self, engine: str) -> int:
        """What grows with every change to the engine's account: a trajectory held, grown or released."""
        return self._accounts[engine].changes

    def used(self, engine: str) -> int:
        """Unique blocks counted on the engine."""
        return self._accounts[engine].blocks

    def held(self, engine: str) -> Iterator[str]:
        """The ids of the trajectories counted on the engine, oldest first."""
        return iter(self._accounts[engine].held)

    def engine_of(self, trajectory: str) -> str | None:
        """The engine that the trajectory is counted on."""
        entry = self._entries.get(trajectory)
        return entry.engine if entry else None

    def cost(self, engine: str, shared: Sequence[Segment], context: int) -> int:
        """Blocks that counting such a trajectory on the engine would add."""
        account = self._accounts[engine]
        blocks = -(-context // account.capacity.block_size)
        for key, size in _segments(shared, account.capacity.block_size):
            holders = self._holders.get(key)
            if holders is not None and account.index in holders.counts:
                blocks -= size
        return blocks

    def costs(self, shared: Sequence[Segment], context: int) -> NDArray[np.float64]:
        """Tokens, in whole blocks, that counting such a trajectory would add to each engine."""
        costs: NDArray[np.float64] = np.ceil(context / self._block_sizes) * self._block_sizes
        for block_size in self._distinct:
            for key, size in _segments(shared, block_size):
                holders = self._holders.get(key)
                if holders is not None:
                    indices = holders.array()
                    if len(self._distinct) > 1:
                        indices = indices[self._block_sizes[indices] == block_size]
                    costs[indices] -= size * block_size
        return costs

    def hold(self, engine: str, trajectory: str, shared: tuple[Segment, ...], context: int) -> None:
        """Count a trajectory on an engine; it must not be counted yet."""
        if trajectory in self._entries:
            raise ValueError(
                f"trajectory {trajectory} is already counted on {self._entries[trajectory].engine}"
            )
        account = self._accounts[engine]
        blocks = -(-context // account.capacity.block_size)
        for key, size in _segments(shared, account.capacity.block_size):
            if not self._holders.setdefault(key, _Holders()).add(account.index):
                blocks -= size
        self._entries[trajectory] = account.held[trajectory] = _Entry(engine, shared, context)
        self.counted[account.index] += 1
        self._add(account, blocks)

    def grow(self, trajectory: str, context: int) -> None:
        """Set the context of a counted trajectory."""
        entry = self._entries[trajectory]
        account = self._accounts[entry.engine]
        block_size = account.capacity.block_size
        self._add(account, -(-context // block_size) - -(-entry.context // block_size))
        entry.context = context

    def release(self, trajectory: str) -> None:
        """Count a trajectory no more; does nothing for one that is not counted."""
        entry = self._entries.pop(trajectory, None)
        if entry is None:
            return
        account = self._accounts[entry.engine]
        del account.held[trajectory]
        blocks = -(-entry.context // account.capacity.block_size)
        for key, size in _segments(entry.shared, account.capacity.block_size):
            holders = self._holders[key]
            if not holders.remove(account.index):
                blocks -= size
            elif not holders.counts:
                del self._holders[key]
        self.counted[account.index] -= 1
        self._add(account, -blocks)

    def _add(self, account: _Account, blocks: int) -> None:
        self.changes += 1
        account.changes += 1
        account.blocks += blocks
        self.tokens[account.index] = account.blocks * account.capacity.block_size


def _segments(shared: Sequence[Segment], block_size: int) -> Iterator[tuple[tuple[str, int, int], int]]:
    """Each segment that has whole blocks: what it is known by, and how many."""
    start = 0
    for segment in shared:
        end = segment.end // block_size
        if end > start:
            yield (segment.key, start, end), end - start
            start = end
