"""The clip-higher token-mean policy loss (DAPO, arXiv 2503.14476, eq. 8), as GRPO-RoC uses it.

No KL term and no entropy bonus. Only model-written tokens count, and the sum is divided by their number in
the whole batch, however the batch is cut into micro-batches. Pure tensor arithmetic.
"""

import msgspec
import torch
from torch import Tensor


class ClipConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ratio is clipped to [1 - low, 1 + high]."""

    low: float = 0.2
    high: float = 0.28


def token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Natural log-probabilities in float32 of ``tokens[:, 1:]`` under ``logits[:, :-1]``, as [B, T - 1]."""
    logits = logits[:, :-1].float()
    chosen = logits.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)
    return chosen - torch.logsumexp(logits, dim=-1)


def policy_loss(
    logprobs: Tensor, behaviour: Tensor, advantage: Tensor, mask: Tensor, *, tokens: int, clip: ClipConfig
) -> Tensor:
    """Return the micro-batch's share of the loss, a scalar.

    ``logprobs``, ``behaviour`` and ``mask`` are [B, T]; ``advantage`` is [B, 1]; ``tokens`` is the number of
    model-written tokens in the whole batch.
    """
    ratio = torch.exp(torch.where(mask, logprobs - behaviour, 0.0))
    clipped = ratio.clamp(1 - clip.low, 1 + clip.high)
    return -(torch.minimum(ratio * advantage, clipped * advantage) * mask).sum() / tokens
