"""The clip-higher token-mean policy loss (DAPO, arXiv 2503.14476, eq. 8), as GRPO-RoC uses it.

No KL term and no entropy bonus. Only model-written tokens come in, and the sum is divided by their number in
the whole batch, however the batch is cut into micro-batches. Pure tensor arithmetic.
"""

from typing import Annotated

import msgspec
import torch
from msgspec import Meta
from torch import Tensor


class ClipConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ratio is clipped to [1 - low, 1 + high]."""

    low: Annotated[float, Meta(ge=0, le=1)] = 0.2
    high: Annotated[float, Meta(ge=0)] = 0.28


def chosen(predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the log-probabilities of ``targets``, [N], out of those of every token, [N, V]."""
    return predicted.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def policy_loss(
    logprobs: Tensor, behaviour: Tensor, advantage: Tensor, *, tokens: int, clip: ClipConfig
) -> Tensor:
    """Return the micro-batch's share of the loss, a scalar.

    ``logprobs``, ``behaviour`` and ``advantage`` are [N], one entry for each model-written token of the
    micro-batch; ``tokens`` is the number of such tokens in the whole batch.
    """
    ratio = torch.exp(logprobs - behaviour)
    clipped = ratio.clamp(1 - clip.low, 1 + clip.high)
    return -torch.minimum(ratio * advantage, clipped * advantage).sum() / tokens
