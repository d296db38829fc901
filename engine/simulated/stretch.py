"""Consecutive engine steps of one batch, as one jump: when each of them ends, in closed form.

The k-th step takes ``first + k * growth`` seconds (k from 0), since each decoding sequence reads one token
more than in the step before. Invariant: a stretch ends with a whole step and has at least one. Knows nothing
of what is in the batch.
"""

import math

from .turn import Turn


class Stretch:
    """``steps`` steps from ``start`` on; ``chunks`` are the turns prefilled in it, each with its tokens."""

    __slots__ = ("chunks", "end", "first", "growth", "start", "steps")

    def __init__(
        self, *, start: float, steps: int, first: float, growth: float, chunks: list[tuple[Turn, int]]
    ) -> None:
        self.start = start
        self.steps = steps
        self.first = first
        self.growth = growth
        self.chunks = chunks
        self.end = self.end_of(steps)

    def end_of(self, steps: int) -> float:
        """When so many steps are done."""
        return self.start + steps * self.first + self.growth * steps * (steps - 1) / 2

    def completed(self, now: float) -> int:
        """How many of its steps are done by ``now``."""
        if now >= self.end:
            return self.steps
        passed, slope = now - self.start, self.first - self.growth / 2
        if passed <= 0:
            return 0
        guess = 2 * passed / (slope + math.sqrt(max(0.0, slope * slope + 2 * self.growth * passed)))
        steps = min(int(guess), self.steps)
        while steps < self.steps and self.end_of(steps + 1) <= now:
            steps += 1
        while steps > 0 and self.end_of(steps) > now:
            steps -= 1
        return steps

    def cut(self, now: float) -> None:
        """End with the step that runs at ``now``."""
        done = self.completed(now)
        if done == 0 or self.end_of(done) < now:
            done += 1
        if done < self.steps:
            self.steps = done
            self.end = self.end_of(done)
