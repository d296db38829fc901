"""The one place that does KV arithmetic: which trajectories' KV is counted on which engine, in blocks.

Invariants: a trajectory is counted on at most one engine; the prompt that the members of a group share is
counted once an engine, as the whole blocks that an engine's prefix cache can share (members whose prompts
differ in whole blocks share nothing); when every trajectory is released every account is zero. Updated at
decision time: what engines report lags, and only calibrates.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec


class Capacity(msgspec.Struct, frozen=True):
    """The KV cache of one engine."""

    tokens: int
    block_size: int

    @property
    def blocks(self) -> int:
        """Whole blocks."""
        return self.tokens // self.block_size


@dataclass
class _Entry:
    engine: str
    group: str
    prompt: int
    context: int


@dataclass
class _Account:
    capacity: Capacity
    held: dict[str, _Entry] = field(default_factory=dict)
    members: Counter[tuple[str, int]] = field(default_factory=Counter)  # by group and shared blocks
    blocks: int = 0


class KvLedger:
    """Counts KV blocks by engine. All sizes given are in tokens, all answers in blocks."""

    def __init__(self, capacities: Mapping[str, Capacity]) -> None:
        self._accounts = {engine: _Account(capacity) for engine, capacity in capacities.items()}
        self._entries: dict[str, _Entry] = {}

    def capacity(self, engine: str) -> int:
        """Blocks that the engine has."""
        return self._accounts[engine].capacity.blocks

    def block_size(self, engine: str) -> int:
        """Tokens in a block of the engine."""
        return self._accounts[engine].capacity.block_size

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

    def shares_prompt(self, engine: str, group: str, prompt: int) -> bool:
        """Whether a member of the group with this prompt is counted on the engine already."""
        return (group, self._shared(engine, prompt)) in self._accounts[engine].members

    def cost(self, engine: str, group: str, *, prompt: int, context: int) -> int:
        """Blocks that counting such a trajectory on the engine would add."""
        private = self._private(engine, prompt, context)
        shared = 0 if self.shares_prompt(engine, group, prompt) else self._shared(engine, prompt)
        return private + shared

    def hold(self, engine: str, trajectory: str, group: str, *, prompt: int, context: int) -> None:
        """Count a trajectory on an engine; it must not be counted yet."""
        if trajectory in self._entries:
            raise ValueError(
                f"trajectory {trajectory} is already counted on {self._entries[trajectory].engine}"
            )
        account = self._accounts[engine]
        account.blocks += self.cost(engine, group, prompt=prompt, context=context)
        account.members[group, self._shared(engine, prompt)] += 1
        self._entries[trajectory] = account.held[trajectory] = _Entry(engine, group, prompt, context)

    def grow(self, trajectory: str, context: int) -> None:
        """Set the context of a counted trajectory."""
        entry = self._entries[trajectory]
        before = self._private(entry.engine, entry.prompt, entry.context)
        self._accounts[entry.engine].blocks += self._private(entry.engine, entry.prompt, context) - before
        entry.context = context

    def release(self, trajectory: str) -> None:
        """Count a trajectory no more; does nothing for one that is not counted."""
        entry = self._entries.pop(trajectory, None)
        if entry is None:
            return
        account = self._accounts[entry.engine]
        del account.held[trajectory]
        key = entry.group, self._shared(entry.engine, entry.prompt)
        account.members[key] -= 1
        if not account.members[key]:
            del account.members[key]
        account.blocks -= self.cost(entry.engine, entry.group, prompt=entry.prompt, context=entry.context)

    def _shared(self, engine: str, prompt: int) -> int:
        return prompt // self.block_size(engine)

    def _private(self, engine: str, prompt: int, context: int) -> int:
        shared = self._shared(engine, prompt) * self.block_size(engine)
        return -(-(context - shared) // self.block_size(engine))
