"""Rollouts as tensors: padded micro-batches under a token budget.

Invariants: every rollout is in exactly one micro-batch, whole; neither the cut nor the order in it depends on
the order in which samples come; padding is on the right, where causal attention needs no mask for it.
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
    """``tokens``: [B, T], and what is known of the N model-written ones among them.

    ``mask``: [B, T - 1]; position t speaks of the prediction of ``tokens[:, t + 1]``, and N are true.
    ``targets``, ``behaviour``, ``advantage``: [N], row by row in the order of ``mask``.
    """

    tokens: Tensor
    mask: Tensor
    targets: Tensor
    behaviour: Tensor
    advantage: Tensor


def micro_batches(
    samples: Sequence[Sample], *, token_budget: int, device: torch.device
) -> Iterator[MicroBatch]:
    """Cut samples into micro-batches of at most ``token_budget`` padded tokens (one sample at least)."""
    ordered = sorted(samples, key=lambda sample: (len(sample.rollout.tokens), sample.rollout.id))
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
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    behaviour = torch.zeros(len(rows), width)
    for i, row in enumerate(rows):
        length = len(row.rollout.tokens)
        tokens[i, :length] = torch.tensor(row.rollout.tokens)
        mask[i, :length] = torch.tensor(row.rollout.mask)
        behaviour[i, :length] = torch.tensor(row.rollout.logprobs)
    mask = mask[:, 1:]
    advantage = torch.tensor([[row.advantage] for row in rows]).expand_as(mask)
    return MicroBatch(
        tokens=tokens.to(device),
        mask=mask.to(device),
        targets=tokens[:, 1:][mask].to(device),
        behaviour=behaviour[:, 1:][mask].to(device),
        advantage=advantage[mask].to(device),
    )
