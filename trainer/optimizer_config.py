"""What a batch is made into: how a step is computed, and of which loss."""

from typing import Annotated

from msgspec import Meta

from .loss import LossConfig
from .network import NetworkConfig

_Beta = Annotated[float, Meta(ge=0, lt=1)]
_Count = Annotated[int, Meta(ge=1)]


class OptimizerConfig(LossConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AdamW with a linear warm-up; ``micro_batch_tokens`` bounds the tokens of one forward pass, padding
    included.

    ``decay_steps`` optimiser steps after the warm-up, a cosine has brought the learning rate to ``decay_to``
    times its peak; it is constant where they are not given. ``updates``: optimiser steps a batch, each on its
    part of it. ``reference``: the model folder that ``kl`` is counted from, where it is not the one that is
    trained.
    """

    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 1e-6
    warmup_steps: Annotated[int, Meta(ge=0)] = 20
    decay_steps: _Count | None = None
    decay_to: Annotated[float, Meta(ge=0, le=1)] = 0.1
    betas: tuple[_Beta, _Beta] = (0.9, 0.95)
    weight_decay: Annotated[float, Meta(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Meta(gt=0)] = 1.0
    micro_batch_tokens: _Count = 8192
    updates: _Count = 1
    reference: str | None = None
    network: NetworkConfig = NetworkConfig()
