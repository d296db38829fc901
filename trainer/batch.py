"""A batch of chosen rollouts as padded tensors: rollouts in rows, rows in micro-batches under a token budget.

Invariants: every rollout is in exactly one micro-batch of one rank, whole; all ranks have as many
micro-batches; neither the cut nor the order in it depends on the order in which samples come. Positions start
at 0 with each rollout in a row, which is how transformers' attention tells them apart (and how ``network.py``
makes sure that it does).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from headway.scheduler import Rollout

from .packing import deal, plan
from .ranks import ALONE, Ranks
from .segments import Segments


@dataclass(frozen=True)
class Sample:
    """A rollout chosen for the update, with its advantage."""

    rollout: Rollout
    advantage: float


@dataclass(frozen=True)
class MicroBatch:
    """R rows of T tokens, with S rollouts in them and N model-written tokens.

    ``tokens``, ``positions``: [R, T]. ``mask``: [R, T]; where it is true, the token after is model-written,
    and is the next of ``targets``. ``targets``, ``behaviour``, ``advantage``: [N]. ``used``: the tokens that
    are not padding.
    """

    tokens: Tensor
    positions: Tensor
    mask: Tensor
    targets: Tensor
    behaviour: Tensor
    advantage: Tensor
    segments: Segments
    used: int


def micro_batches(
    samples: Sequence[Sample],
    *,
    token_budget: int,
    device: torch.device,
    packing: bool = True,
    ranks: Ranks = ALONE,
) -> Iterator[MicroBatch]:
    """Cut this rank's share of samples into micro-batches of ``token_budget`` tokens at most, with padding.

    A sample that is longer makes them as long as it is. Without ``packing`` each has a row of its own. A rank
    that needs fewer than another ends with empty ones, so that all take part in as many passes.
    """
    ordered = sorted(samples, key=lambda sample: (_length(sample), sample.rollout.id))
    shares = [[ordered[index] for index in hand] for hand in deal([*map(_length, ordered)], ranks.size)]
    plans = [plan([*map(_length, share)], token_budget, packing=packing) for share in shares]
    share, mine = shares[ranks.rank], plans[ranks.rank]
    for rows in mine:
        yield _tensors([[share[index] for index in row] for row in rows], device)
    for _ in range(max(map(len, plans)) - len(mine)):
        yield _empty(device)


def split(samples: Sequence[Sample], parts: int) -> list[Sequence[Sample]]:
    """Cut samples into at most ``parts`` parts of about the same number, in their order."""
    ends = [len(samples) * part // parts for part in range(parts + 1)]
    return [samples[start:end] for start, end in pairwise(ends) if end > start]


def _length(sample: Sample) -> int:
    return len(sample.rollout.tokens)


def _used(row: Sequence[Sample]) -> int:
    return sum(map(_length, row))


def _tensors(rows: Sequence[Sequence[Sample]], device: torch.device) -> MicroBatch:
    width = max(map(_used, rows))
    tokens = torch.zeros(len(rows), width, dtype=torch.long)
    positions = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        start = 0
        for sample in row:
            end = start + _length(sample)
            tokens[i, start:end] = torch.tensor(sample.rollout.tokens)
            positions[i, start:end] = torch.arange(end - start)
            mask[i, start : end - 1] = torch.tensor(sample.rollout.mask[1:])
            start = end
        positions[i, start:] = torch.arange(width - start)  # padding is a sequence of its own
    samples = [sample for row in rows for sample in row]
    lengths = torch.tensor([sample.rollout.generated for sample in samples])
    return MicroBatch(
        tokens=tokens.to(device),
        positions=positions.to(device),
        mask=mask.to(device),
        targets=torch.tensor(_written(samples, "tokens"), dtype=torch.long).to(device),
        behaviour=torch.tensor(_written(samples, "logprobs"), dtype=torch.float32).to(device),
        advantage=torch.tensor([s.advantage for s in samples]).repeat_interleave(lengths).to(device),
        segments=Segments(
            of=torch.arange(len(samples)).repeat_interleave(lengths).to(device),
            lengths=lengths.float().to(device),
        ),
        used=sum(map(_length, samples)),
    )


def _empty(device: torch.device) -> MicroBatch:
    """A token of padding, none of them written."""
    nothing = torch.zeros(0, device=device)
    token = torch.zeros(1, 1, dtype=torch.long, device=device)
    return MicroBatch(
        tokens=token,
        positions=token,
        mask=token.bool(),
        targets=nothing.long(),
        behaviour=nothing,
        advantage=nothing,
        segments=Segments(of=nothing.long(), lengths=nothing),
        used=0,
    )


def _written(samples: Sequence[Sample], field: str) -> list[float]:
    """What a field of the rollouts says of their model-written tokens, rollout by rollout."""
    return [
        value
        for sample in samples
        for value, written in zip(getattr(sample.rollout, field), sample.rollout.mask, strict=True)
        if written
    ]
