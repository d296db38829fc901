"""The turns that write one token in every step, and what their next steps will need.

A turn's position grows by one a step, so what matters of it is constant: its last step, and the step, modulo
the block size, at which it needs a new block. Every question below is answered without a look at each turn.
Knows nothing of free blocks, waiting turns or seconds.
"""

import heapq
from itertools import count

from .turn import State, Turn


class Decoding:
    """``steps`` of the engine are done; the turns in it have ``context`` tokens in all."""

    def __init__(self, block_size: int) -> None:
        self.steps = 0
        self.context = 0
        self._block_size = block_size
        self._turns = 0
        self._phases = [0] * block_size  # how many turns need a block at a step, by step modulo block size
        self._last_steps: list[tuple[int, int, int, Turn]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return self._turns

    def add(self, turn: Turn) -> None:
        """A turn whose KV is complete and whose next token has just been written."""
        turn.state = State.DECODING
        turn.since = self.steps
        turn.written += 1
        self._turns += 1
        self.context += turn.kv + 1
        self._phases[self._phase(turn)] += 1
        last = self.steps + turn.limit - turn.written
        heapq.heappush(self._last_steps, (last, next(self._numbers), self.steps, turn))

    def remove(self, turn: Turn) -> int:
        """Take a turn out and bring its account up to date; gives how many tokens it wrote since ``add``."""
        wrote = self.steps - turn.since
        self._turns -= 1
        self._phases[self._phase(turn)] -= 1
        turn.kv += wrote
        turn.written += wrote
        self.context -= turn.kv + 1
        return wrote + 1

    def advance(self, steps: int) -> None:
        """Take so many steps."""
        self.steps += steps
        self.context += steps * self._turns

    def blocks(self, steps: int) -> int:
        """New blocks that the next ``steps`` steps take."""
        rounds, rest = divmod(steps, self._block_size)
        start = self.steps % self._block_size
        stop = start + rest
        some = sum(self._phases[start:stop]) + sum(self._phases[: max(0, stop - self._block_size)])
        return rounds * self._turns + some

    def affordable(self, limit: int, free: int) -> int:
        """How many steps, ``limit`` at most, can be taken with ``free`` blocks."""
        if (limit // self._block_size + 1) * self._turns <= free or self.blocks(limit) <= free:
            return limit
        rounds = free // self._turns
        steps, free = rounds * self._block_size, free % self._turns
        while (free := free - self._phases[(self.steps + steps) % self._block_size]) >= 0:
            steps += 1
        return steps

    def steps_left(self) -> int:
        """Steps until the first of them ends."""
        while self._is_stale(self._last_steps[0]):
            heapq.heappop(self._last_steps)
        return self._last_steps[0][0] - self.steps

    def ended(self) -> list[Turn]:
        """The turns that have written all their tokens; they are still to be removed."""
        turns = []
        while self._last_steps and self._last_steps[0][0] <= self.steps:
            entry = heapq.heappop(self._last_steps)
            if not self._is_stale(entry):
                turns.append(entry[3])
        return turns

    def _phase(self, turn: Turn) -> int:
        return (turn.since - turn.kv) % self._block_size

    @staticmethod
    def _is_stale(entry: tuple[int, int, int, Turn]) -> bool:
        """Whether its turn was taken out since, or taken out and added again."""
        return entry[3].state is not State.DECODING or entry[3].since != entry[2]
