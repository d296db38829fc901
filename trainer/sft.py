"""Supervised training: a step of it is a step of ``PolicyModel``, with data in the place of rollouts.

Invariants: only tokens that the model itself would write carry loss, averaged over all of them in a batch;
what step N trains on depends on N, the seed and the data alone, so that a run can go on from any step.
Knows nothing of where data comes from, of rewards or of engines.
"""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from headway.errors import HeadwayError
from headway.scheduler import Rollout

from .batch import Sample
from .network import NetworkConfig
from .optimizer_config import OptimizerConfig
from .policy_model import PolicyModel
from .step_report import StepReport
from .tokens import Example

T = TypeVar("T")
_GIVE_UP_AFTER = 3  # steps in a row


class SftConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long to train, and how; the defaults are those of rStar2-Agent (arXiv 2508.20722) where it has any.

    ``batch`` examples are a step; the last one of an epoch may have fewer. ``warmup``: the share of all steps
    in which the learning rate rises; a cosine then brings it to ``decay_to`` times the peak.
    """

    epochs: Annotated[int, Meta(ge=1)] = 3
    batch: Annotated[int, Meta(ge=1)] = 128
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 5e-6
    warmup: Annotated[float, Meta(ge=0, le=1)] = 0.04
    decay_to: Annotated[float, Meta(ge=0, le=1)] = 0.01
    weight_decay: Annotated[float, Meta(ge=0)] = 0.01
    micro_batch_tokens: Annotated[int, Meta(ge=1)] = 8192
    seed: int = 0
    network: NetworkConfig = NetworkConfig()

    def steps_an_epoch(self, examples: int) -> int:
        """How many steps see every example once."""
        return math.ceil(examples / self.batch)

    def optimizer(self, examples: int) -> OptimizerConfig:
        """The same as a model takes it."""
        steps = self.epochs * self.steps_an_epoch(examples)
        warmup = round(self.warmup * steps)
        return OptimizerConfig(
            loss="sft",
            learning_rate=self.learning_rate,
            warmup_steps=warmup,
            decay_steps=max(1, steps - warmup),
            decay_to=self.decay_to,
            weight_decay=self.weight_decay,
            micro_batch_tokens=self.micro_batch_tokens,
            network=self.network,
        )


class SftStep(msgspec.Struct, frozen=True, kw_only=True):
    """What one step trained on, prompts and observations included in ``tokens``, and what it did."""

    step: int
    examples: int
    tokens: int
    update: StepReport


def batches(examples: Sequence[T], config: SftConfig, *, done: int = 0) -> Iterator[list[T]]:
    """Yield the batch of every step but the first ``done``; each epoch is in an order of its own."""
    return islice(_all_batches(examples, config), done, None)


def fit(model: PolicyModel, source: Iterable[Sequence[Example]], *, done: int = 0) -> Iterator[SftStep]:
    """Take a step for every batch, after ``done`` that were taken already.

    Raises ``HeadwayError`` where three steps in a row were not finite.
    """
    skipped = 0
    for step, batch in enumerate(source, done + 1):
        update = model.step(as_samples(batch))
        skipped = skipped + 1 if update.skipped else 0
        yield SftStep(
            step=step,
            examples=len(batch),
            tokens=sum(len(example.ids) for example in batch),
            update=update,
        )
        if skipped == _GIVE_UP_AFTER:
            raise HeadwayError(
                f"step {step}: the loss or its gradient was not finite in {skipped} steps in a row, which "
                "changed nothing; lower the learning rate"
            )


def as_samples(examples: Iterable[Example]) -> list[Sample]:
    """Return examples as rollouts that are all worth the same, and that no engine gave a probability."""
    return [Sample(_as_rollout(example, number), 1.0) for number, example in enumerate(examples)]


def _as_rollout(example: Example, number: int) -> Rollout:
    length = len(example.ids)
    return Rollout(
        id=f"{number:06}",
        group="",
        task="",
        prompt=list(example.written).index(True) if any(example.written) else length,
        tokens=list(example.ids),
        mask=[bool(written) for written in example.written],
        logprobs=[math.nan] * length,
        versions=[-1] * length,
        turns=[],
        tool_calls=[],
        finish_reason="answer",
    )


def _all_batches(examples: Sequence[T], config: SftConfig) -> Iterator[list[T]]:
    for epoch in range(config.epochs):
        order = list(range(len(examples)))
        random.Random(f"{config.seed}-{epoch}").shuffle(order)
        for start in range(0, len(order), config.batch):
            yield [examples[index] for index in order[start : start + config.batch]]
