"""What an optimiser step saw, summed up over its micro-batches.

Invariant: what is not a number is reported as such; a maximum never hides it. Knows nothing of models.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import reduce

import msgspec
import torch
from torch import Tensor

from .batch import MicroBatch, Sample
from .loss import Terms, k3
from .ranks import Ranks


class StepReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the update on a batch did.

    Logarithms are natural; means are over model-written tokens, shares are of 1. ``tokens`` are the
    model-written ones of the batch. ``clip_low``, ``clip_high``: the share of them that the clip kept out of
    the gradient, and ``clip_fraction`` both. ``ratio_max``, ``mismatch_kl`` (k3) and ``logprob_max_abs_diff``
    compare the trainer's probabilities with those that the engines sampled from. ``bounded_share``: tokens
    whose importance weight met a bound; ``masked_share``: rollouts that the sequence mask took out.
    ``dropped``: rollouts left out because an engine gave no finite logprob. ``token_efficiency``: tokens
    computed that were not padding. ``kl``: k3 from the reference. ``staleness_*``: versions of the weights
    since a token was sampled. What was not measured is None. ``updates``: optimiser steps taken, with
    ``grad_norm`` the largest of them. ``skipped``: no step was taken (a loss or gradient was not finite, or
    nothing was left), nothing changed.
    """

    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int
    entropy: float
    clip_fraction: float
    clip_low: float
    clip_high: float
    ratio_max: float
    mismatch_kl: float
    logprob_max_abs_diff: float
    bounded_share: float
    masked_share: float
    token_efficiency: float
    dropped: int
    updates: int
    skipped: bool
    kl: float | None = None
    staleness_mean: float | None = None
    staleness_max: int | None = None


class Totals:
    """Sums over the micro-batches of a batch: this rank's, then, with ``gather``, all ranks'."""

    def __init__(self) -> None:
        self.grad_norm = self.learning_rate = 0.0
        self.updates = self.dropped = 0
        self._ratio_max = self._difference_max = 0.0
        self._sums: defaultdict[str, float] = defaultdict(float)

    @torch.no_grad()
    def add(self, batch: MicroBatch, predicted: Tensor, logprobs: Tensor, terms: Terms) -> None:
        """Add a micro-batch of N tokens.

        ``predicted`` are log-probabilities, [N, V]; ``logprobs``, [N], those of the tokens written.
        """
        difference = logprobs - batch.behaviour
        masked = terms.weights.masked / batch.segments.lengths[batch.segments.of]
        for name, values in {
            "loss": terms.loss,
            "low": terms.low,
            "high": terms.high,
            "mismatch": k3(difference),
            "bounded": terms.weights.bounded,
            "masked": masked,
        }.items():
            self._sums[name] += float(values.sum())
        if terms.kl is not None:
            self._sums["kl"] += float(terms.kl.sum())
        self._sums["entropy"] += _entropy(predicted)
        self._sums["tokens"] += len(logprobs)
        self._sums["rollouts"] += len(batch.segments.lengths)
        self._sums["used"] += batch.used
        self._sums["computed"] += batch.tokens.numel()
        if len(difference):
            self._ratio_max = larger(self._ratio_max, float(difference.exp().max()))
            self._difference_max = larger(self._difference_max, float(difference.abs().max()))

    def gather(self, ranks: Ranks) -> None:
        """Take in the other ranks' sums and maxima."""
        everyone = ranks.gather((dict(self._sums), self._ratio_max, self._difference_max))
        for name in self._sums:
            self._sums[name] = sum(sums[name] for sums, _, _ in everyone)
        self._ratio_max = reduce(larger, (ratio for _, ratio, _ in everyone))
        self._difference_max = reduce(larger, (difference for _, _, difference in everyone))

    def report(self, samples: Sequence[Sample], *, parts: int, version: int | None) -> StepReport:
        """Return the figures of a batch of samples that was updated on in ``parts`` parts."""
        ages = _ages(samples, version)
        return StepReport(
            loss=self._sums["loss"] / parts,
            grad_norm=self.grad_norm,
            learning_rate=self.learning_rate,
            tokens=sum(sample.rollout.generated for sample in samples),
            entropy=self._share("entropy"),
            clip_fraction=self._share("low") + self._share("high"),
            clip_low=self._share("low"),
            clip_high=self._share("high"),
            ratio_max=self._ratio_max,
            mismatch_kl=self._share("mismatch"),
            logprob_max_abs_diff=self._difference_max,
            bounded_share=self._share("bounded"),
            masked_share=self._share("masked", of="rollouts"),
            token_efficiency=self._share("used", of="computed"),
            dropped=self.dropped,
            updates=self.updates,
            skipped=not self.updates,
            kl=self._share("kl") if "kl" in self._sums else None,
            staleness_mean=sum(ages) / len(ages) if ages else None,
            staleness_max=max(ages, default=None),
        )

    def _share(self, name: str, *, of: str = "tokens") -> float:
        return self._sums[name] / max(self._sums[of], 1.0)


def larger(a: float, b: float) -> float:
    """The larger of the two, or not a number if either is not: ``max(0.0, nan)`` would be 0.0."""
    return math.nan if math.isnan(a) or math.isnan(b) else max(a, b)


def _entropy(predicted: Tensor) -> float:
    """The summed entropy of N predictions, [N, V], a part at a time to need less memory."""
    return math.fsum(float(-(part.exp() * part).sum()) for part in torch.split(predicted, 1024))


def _ages(samples: Sequence[Sample], version: int | None) -> list[int]:
    if version is None:
        return []
    return [
        version - sampled
        for sample in samples
        for sampled, written in zip(sample.rollout.versions, sample.rollout.mask, strict=True)
        if written
    ]
