"""What an optimiser step saw, summed up over its micro-batches.

Invariant: what is not a number is reported as such; a maximum never hides it. Knows nothing of models.
"""

import math

import msgspec
import torch
from torch import Tensor

from .loss import ClipConfig


class StepReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one optimiser step did. Logarithms are natural; means are over model-written tokens.

    ``skipped``: the loss or the gradient was not finite, and nothing was changed.
    """

    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int
    entropy: float
    clip_fraction: float
    ratio_max: float
    mismatch_kl: float
    logprob_max_abs_diff: float
    skipped: bool


class Totals:
    """Sums over the micro-batches of a step of ``tokens`` model-written tokens."""

    def __init__(self, tokens: int) -> None:
        self.loss = 0.0
        self._tokens = tokens
        self._entropy = self._clipped = self._kl = self._ratio_max = self._difference_max = 0.0

    @torch.no_grad()
    def add(
        self, loss: Tensor, predicted: Tensor, logprobs: Tensor, behaviour: Tensor, clip: ClipConfig
    ) -> None:
        """Add a micro-batch of N > 0 tokens.

        ``predicted`` are log-probabilities, [N, V]; ``logprobs`` and ``behaviour``, [N], those of the tokens
        written, as trained and as sampled.
        """
        difference = logprobs - behaviour
        ratio = difference.exp()
        self.loss += float(loss)
        self._entropy += float(-(predicted.exp() * predicted).sum())
        self._clipped += float(((ratio < 1 - clip.low) | (ratio > 1 + clip.high)).sum())
        self._kl += float((ratio - 1 - difference).sum())  # k3 estimator (Schulman 2020)
        self._ratio_max = _larger(self._ratio_max, float(ratio.max()))
        self._difference_max = _larger(self._difference_max, float(difference.abs().max()))

    def report(self, norm: float, rate: float, *, skipped: bool) -> StepReport:
        """Return the step's figures."""
        return StepReport(
            loss=self.loss,
            grad_norm=norm,
            learning_rate=rate,
            tokens=self._tokens,
            entropy=self._entropy / self._tokens,
            clip_fraction=self._clipped / self._tokens,
            ratio_max=self._ratio_max,
            mismatch_kl=self._kl / self._tokens,
            logprob_max_abs_diff=self._difference_max,
            skipped=skipped,
        )


def _larger(a: float, b: float) -> float:
    """The larger of the two, or not a number if either is not: ``max(0.0, nan)`` would be 0.0."""
    return math.nan if math.isnan(a) or math.isnan(b) else max(a, b)
