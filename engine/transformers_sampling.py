"""Draws the next token of several turns from their logits. Pure but for the generator that it advances.

Invariant: a token's logprob is that of the raw logits (temperature 1, no top_p), whatever it was drawn from.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .protocol import Sampling

_GREEDY = 1e-5  # a lower temperature takes the likeliest token


def sample(
    logits: Tensor, samplings: Sequence[Sampling], generator: torch.Generator
) -> tuple[list[int], list[float]]:
    """One token and its logprob for each row of ``logits`` [N, V]."""
    logits = logits.float()
    temperature = torch.tensor([sampling.temperature for sampling in samplings], device=logits.device)
    top_p = torch.tensor([sampling.top_p for sampling in samplings], device=logits.device)
    probabilities = torch.softmax(logits / temperature.clamp(min=_GREEDY)[:, None], dim=-1)
    if bool((top_p < 1).any()):
        probabilities = _nucleus(probabilities, top_p)
    drawn = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
    tokens = torch.where(temperature < _GREEDY, logits.argmax(dim=-1), drawn)
    logprobs = torch.log_softmax(logits, dim=-1).gather(1, tokens[:, None])[:, 0]
    return tokens.tolist(), logprobs.tolist()


def _nucleus(probabilities: Tensor, top_p: Tensor) -> Tensor:
    """The likeliest tokens of each row, as many as it takes to reach ``top_p``; the others get 0."""
    ordered, order = probabilities.sort(dim=-1, descending=True)
    ordered[ordered.cumsum(dim=-1) - ordered >= top_p[:, None]] = 0.0
    return torch.zeros_like(probabilities).scatter_(1, order, ordered)
