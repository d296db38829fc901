"""What engines have shown of their speed: the seconds that a step, or a token, costs.

Fitted online, by non-negative least squares with forgetting, to windows of busy time between two reports of
an engine:
    seconds = step * steps + prefill * computed + decode * generated + read * tokens read + attention * pairs
where pairs counts, for each prefilled token, the tokens before it. Each window weighs by its relative error.
Until ``ENOUGH`` windows were seen the figures are round ones of a 14B model on a large GPU, which have the
right proportions for most.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from headway.engine import EngineStats

Tokens = TypeVar("Tokens", float, NDArray[np.float64])
ENOUGH = 24
STEPS = 8  # a window is at least so many steps: a report is only as fresh as the last one
FORGET = 0.9999
REFIT = 24


@dataclass(slots=True)
class _Window:
    """Where an engine was when its window began, and what it has read since."""

    t: float
    stats: EngineStats
    steps: int
    tokens: float  # context that each step reads
    pairs: float  # of tokens prefilled, so far
    read: float = 0.0


class EngineCost:
    """Seconds by step, token prefilled, sequence decoded, token of context read and pair attended to."""

    def __init__(self, engines: int) -> None:
        self.windows = 0
        self.step, self.prefill, self.decode, self.read, self.attention = 1e-2, 8e-5, 5e-5, 5e-8, 2e-9
        self._open: list[_Window | None] = [None] * engines
        self._gram: NDArray[np.float64] = np.zeros((5, 5))
        self._moment: NDArray[np.float64] = np.zeros(5)

    @property
    def is_known(self) -> bool:
        """Whether the figures are these engines' own."""
        return self.windows >= ENOUGH

    def idle_share(self, turns: float, tokens: float) -> float:
        """The share of a step that more turns would not lengthen: what one more of them is worth (0..1)."""
        return self.step / (self.step + self.decode * turns + self.read * tokens)

    def prefill_s(self, context: Tokens) -> Tokens:
        """Seconds to prefill a context of so many tokens, or contexts of an array of them."""
        return self.prefill * context + self.attention * pairs(context)

    def observe(
        self,
        engine: int,
        now: float,
        stats: EngineStats,
        *,
        turns: int,
        tokens: float,
        prefilled: float = 0.0,
    ) -> None:
        """Take in a report; from now on ``turns`` run on the engine, with contexts of ``tokens`` in all.

        ``prefilled`` is the pairs of all turns that have been sent to the engine until now.
        """
        window = self._open[engine]
        if window is not None:
            window.read += window.tokens * (stats.steps - window.steps)
            window.steps, window.tokens = stats.steps, tokens
            if stats.steps - window.stats.steps >= STEPS:
                self._learn(window, now, stats, prefilled - window.pairs)
                window = None
        if not turns:
            self._open[engine] = None
        elif window is None:
            self._open[engine] = _Window(now, stats, stats.steps, tokens, prefilled)

    def _learn(self, window: _Window, now: float, stats: EngineStats, attended: float) -> None:
        before, seconds = window.stats, now - window.t
        if seconds <= 0:
            return
        computed = (stats.prompt_tokens - stats.cached_tokens) - (before.prompt_tokens - before.cached_tokens)
        generated = stats.generated_tokens - before.generated_tokens
        row = np.array([stats.steps - before.steps, computed, generated, window.read, attended]) / seconds
        self._gram = FORGET * self._gram + np.outer(row, row)
        self._moment = FORGET * self._moment + row
        self.windows += 1
        if self.windows >= ENOUGH and self.windows % REFIT == 0:
            fitted = _nnls(self._gram, self._moment)
            self.step, self.prefill, self.decode, self.read, self.attention = (
                max(value, 1e-15) for value in fitted
            )


def pairs(context: Tokens, start: float = 0.0) -> Tokens:
    """How many tokens come before each of those from ``start`` to ``context``, summed."""
    return (context**2 - start**2) / 2


def _nnls(gram: NDArray[np.float64], moment: NDArray[np.float64]) -> list[float]:
    """Least squares without negative coefficients, by coordinate descent on the normal equations."""
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-30))
    scaled = (gram / np.outer(scale, scale)).tolist()
    target = (moment / scale).tolist()
    found = [0.0] * len(target)
    for _ in range(100):
        for i, row in enumerate(scaled):
            rest = sum(row[j] * found[j] for j in range(len(found)) if j != i)
            found[i] = max(0.0, (target[i] - rest) / max(row[i], 1e-12))
    return [float(value / scale[i]) for i, value in enumerate(found)]
