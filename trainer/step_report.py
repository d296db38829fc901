"""What an optimiser step saw, summed up over its micro-batches.

Invariant: what is not a number is reported as such; a maximum never hides it. Knows nothing of models.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    since a token was sampled. What was not measured is None, as is all that compares with engines where the
    loss asks for none. ``updates``: optimiser steps taken, with ``grad_norm`` the largest of them.
    ``skipped``: no step was taken (a loss or gradient was not finite, or nothing was left), nothing changed.
    ``seconds``: the whole step's, of the slowest rank; ``compute_seconds``: those of them that went into
    forward and backward passes; ``overhead``: the share of the rest.
    """

    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int
    entropy: float
    token_efficiency: float
    dropped: int
    updates: int
    skipped: bool
    seconds: float
    compute_seconds: float
    overhead: float
    clip_fraction: float | None = None
    clip_low: float | None = None
    clip_high: float | None = None
    ratio_max: float | None = None
    mismatch_kl: float | None = None
    logprob_max_abs_diff: float | None = None
    bounded_share: float | None = None
    masked_share: float | None = None
    kl: float | None = None
    staleness_mean: float | None = None
    staleness_max: int | None = None


class Totals:
    """Sums over the micro-batches of a batch: this rank's and, in the report, all ranks'.

    They stay on the device until then: to ask it for a number is to wait for all that it has to do. The clock
    starts here.
    """

    def __init__(self, device: torch.device) -> None:
        self.grad_norm = self.learning_rate = 0.0
        self.updates = self.dropped = 0
        self._device = device
        self._started, self._computing = self._now(), 0.0
        self._sums: defaultdict[str, float | Tensor] = defaultdict(float)
        self._maxima: dict[str, Tensor] = {}

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Count what the body takes as forward and backward passes."""
        started = self._now()
        yield
        self._computing += self._now() - started

    @torch.no_grad()
    def add(self, batch: MicroBatch, predicted: Tensor, logprobs: Tensor, terms: Terms) -> None:
        """Add a micro-batch of N tokens.

        ``predicted`` are log-probabilities, [N, V]; ``logprobs``, [N], those of the tokens written.
        """
        self._sums["loss"] += terms.loss.double()
        self._sums["entropy"] += _entropy(predicted)
        self._sums["tokens"] += len(logprobs)
        self._sums["rollouts"] += len(batch.segments.lengths)
        self._sums["used"] += batch.used
        self._sums["computed"] += batch.tokens.numel()
        if terms.kl is not None:
            self._sums["kl"] += terms.kl.sum().double()
        if terms.low is not None and terms.high is not None:
            self._sums["low"] += terms.low.sum()
            self._sums["high"] += terms.high.sum()
        if terms.weights is not None:
            difference = logprobs - batch.behaviour
            self._sums["mismatch"] += k3(difference).sum().double()
            self._sums["bounded"] += terms.weights.bounded.sum()
            self._sums["masked"] += (terms.weights.masked / batch.segments.lengths[batch.segments.of]).sum()
            self._raise("ratio", difference.exp())
            self._raise("difference", difference.abs())

    def report(
        self, samples: Sequence[Sample], *, parts: int, version: int | None, ranks: Ranks
    ) -> StepReport:
        """Return the figures of a batch of samples that all ranks updated on in ``parts`` parts."""
        ages = _ages(samples, version)
        tokens = sum(sample.rollout.generated for sample in samples)
        sums, maxima, seconds, compute_seconds = self._gathered(ranks)

        def share(name: str, of: str = "tokens") -> float | None:
            return sums[name] / max(sums[of], 1.0) if name in sums else None

        low, high = share("low"), share("high")
        return StepReport(
            loss=sums.get("loss", 0.0) / parts,
            grad_norm=self.grad_norm,
            learning_rate=self.learning_rate,
            tokens=tokens,
            entropy=share("entropy") or 0.0,
            token_efficiency=share("used", of="computed") or 0.0,
            dropped=self.dropped,
            updates=self.updates,
            skipped=not self.updates,
            seconds=seconds,
            compute_seconds=compute_seconds,
            overhead=1 - compute_seconds / seconds,
            clip_fraction=None if low is None or high is None else low + high,
            clip_low=low,
            clip_high=high,
            ratio_max=maxima.get("ratio"),
            mismatch_kl=share("mismatch"),
            logprob_max_abs_diff=maxima.get("difference"),
            bounded_share=share("bounded"),
            masked_share=share("masked", of="rollouts"),
            kl=share("kl"),
            staleness_mean=sum(ages) / len(ages) if ages else None,
            staleness_max=max(ages, default=None),
        )

    def _gathered(self, ranks: Ranks) -> tuple[dict[str, float], dict[str, float], float, float]:
        """The sums and maxima over all ranks, and the times of the slowest."""
        sums = {name: float(value) for name, value in self._sums.items()}
        maxima = {name: float(value) for name, value in self._maxima.items()}
        everyone = ranks.gather((sums, maxima, self._now() - self._started, self._computing))
        return (
            {name: sum(sums[name] for sums, *_ in everyone) for name in sums},
            {name: reduce(larger, (maxima[name] for _, maxima, *_ in everyone)) for name in maxima},
            max(seconds for *_, seconds, _ in everyone),
            max(computing for *_, computing in everyone),
        )

    def _raise(self, name: str, values: Tensor) -> None:
        """Keep the largest of the values seen, none negative; what is no number counts as the largest."""
        values = torch.cat([values, self._maxima.get(name, values.new_zeros(())).reshape(1)])
        self._maxima[name] = values.max()

    def _now(self) -> float:
        """The time, once the device has done all that it was asked."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def larger(a: float, b: float) -> float:
    """The larger of the two, or not a number if either is not: ``max(0.0, nan)`` would be 0.0."""
    return math.nan if math.isnan(a) or math.isnan(b) else max(a, b)


def _entropy(predicted: Tensor) -> Tensor:
    """The summed entropy of N predictions, [N, V], a part at a time to need less memory."""
    parts = [-(part.exp() * part).sum() for part in torch.split(predicted, 1024)]
    return torch.stack(parts).double().sum()


def _ages(samples: Sequence[Sample], version: int | None) -> list[int]:
    if version is None:
        return []
    return [
        max(version - sampled, 0)
        for sample in samples
        for sampled, written in zip(sample.rollout.versions, sample.rollout.mask, strict=True)
        if written
    ]
