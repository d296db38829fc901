"""Weights for tokens that were sampled by other probabilities than the ratio is taken to.

Engines and trainer compute the same probabilities in different ways, and a rollout may be older than the
weights. A token's weight is anchor / behaviour, bounded: it has no gradient, and 1 is its value where both
agree. Knows nothing of rewards.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from .segments import Segments

_Bound = Annotated[float, Meta(gt=0)] | None


class ImportanceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a token is weighed by what sampled it; None is no bound.

    ``level``: a token's weight is its own ratio, or the product over its rollout (``sequence``), or 1
    (``off``). ``method``: weights outside [``low``, ``high``] are brought to the bound (truncated importance
    sampling), or to 0. ``sequence_low``, ``sequence_high``: a rollout whose geometric mean of ratios is
    outside gets weight 0.
    """

    level: Literal["off", "token", "sequence"] = "token"
    method: Literal["truncate", "mask"] = "truncate"
    low: _Bound = None
    high: _Bound = 2.0
    sequence_low: _Bound = None
    sequence_high: _Bound = None

    def __post_init__(self) -> None:
        for low, high in (("low", "high"), ("sequence_low", "sequence_high")):
            least, most = getattr(self, low), getattr(self, high)
            if not (least or 0.0) <= 1 <= (most or math.inf):
                raise ValueError(
                    f"`{low}` ({least}) and `{high}` ({most}) must have 1, no mismatch, between them"
                )


@dataclass(frozen=True)
class Weights:
    """All [N]: each token's weight, whether its bound was met, and whether its rollout is masked."""

    values: Tensor
    bounded: Tensor
    masked: Tensor


@torch.no_grad()
def importance_weights(
    anchor: Tensor, behaviour: Tensor, segments: Segments, config: ImportanceConfig
) -> Weights:
    """Return the weights of N tokens from their log-probabilities, [N], at the anchor and as sampled."""
    difference = anchor - behaviour
    ratio = _ratio(difference, segments, config)
    bounded = _outside(ratio, config.low, config.high)
    if config.method == "mask":
        values = ratio.masked_fill(bounded, 0.0)
    else:
        values = ratio.clamp(config.low or 0.0, config.high)
    masked = _outside(segments.mean(difference).exp(), config.sequence_low, config.sequence_high)
    return Weights(values.masked_fill(masked, 0.0), bounded, masked)


def _ratio(difference: Tensor, segments: Segments, config: ImportanceConfig) -> Tensor:
    if config.level == "off":
        return torch.ones_like(difference)
    return (segments.sum(difference) if config.level == "sequence" else difference).exp()


def _outside(ratio: Tensor, low: float | None, high: float | None) -> Tensor:
    outside = torch.zeros_like(ratio, dtype=torch.bool)
    if low is not None:
        outside |= ratio < low
    if high is not None:
        outside |= ratio > high
    return outside
