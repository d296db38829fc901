"""Rollouts as tensors: padded micro-batches under a token budget.

Invariant: every rollout is in exactly one micro-batch, whole; position t of ``mask``, ``behaviour`` and
``versions`` speaks of the prediction of ``tokens[:, t + 1]``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from headway.scheduler import Rollout


@dataclass(frozen=True)
class Sample:
    """A rollout chosen for the update, with its advantage."""

    rollout: Rollout
    advantage: float


@dataclass(frozen=True)
class MicroBatch:
    """``tokens``, ``attention``: [B, T]; ``mask``, ``behaviour``: [B, T - 1]; ``advantage``: [B, 1]."""

    tokens: Tensor
    attention: Tensor
    mask: Tensor
    behaviour: Tensor
    advantage: Tensor


def micro_batches(
    samples: Sequence[Sample], *, token_budget: int, device: torch.device
) -> Iterator[MicroBatch]:
    """Cut samples into micro-batches of at most ``token_budget`` padded tokens (one sample at least)."""
    ordered = sorted(samples, key=lambda sample: len(sample.rollout.tokens))
    rows: list[Sample] = []
    for sample in ordered:
        if rows and (len(rows) + 1) * len(sample.rollout.tokens) > token_budget:
            yield _pad(rows, device)
            rows = []
        rows.append(sample)
    if rows:
        yield _pad(rows, device)


def _pad(rows: Sequence[Sample], device: torch.device) -> MicroBatch:
    width = max(len(row.rollout.tokens) for row in rows)
    tokens = torch.zeros(len(rows), width, dtype=torch.long)
    attention = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    behaviour = torch.zeros(len(rows), width)
    for i, row in enumerate(rows):
        length = len(row.rollout.tokens)
        tokens[i, :length] = torch.tensor(row.rollout.tokens)
        attention[i, :length] = 1
        mask[i, :length] = torch.tensor(row.rollout.mask)
        behaviour[i, :length] = torch.tensor(row.rollout.logprobs)
    advantage = torch.tensor([[row.advantage] for row in rows])
    return MicroBatch(
        tokens=tokens.to(device),
        attention=attention.to(device),
        mask=mask[:, 1:].to(device),
        behaviour=behaviour[:, 1:].to(device),
        advantage=advantage.to(device),
    )
