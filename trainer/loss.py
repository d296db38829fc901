"""The policy losses: DAPO (the default, as GRPO-RoC uses it), GRPO, Dr. GRPO, GSPO, CISPO, and imitation.

Each is one sum over the model-written tokens of the whole batch: a surrogate of the token, times its share.
Invariant: shares divide by sizes of the whole batch, fixed before anything is masked or left out, so that the
sum is the same however the batch is cut into micro-batches, accumulated, or spread over ranks. Pure tensor
arithmetic; knows nothing of models.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from headway.scheduler import Rollout

from .importance import ImportanceConfig, Weights, importance_weights
from .segments import Segments


class ClipConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ratio is clipped to [1 - low, 1 + high].

    ``dual`` bounds it from above where the advantage is negative, too (dual clip, arXiv 1912.09729, eq. 5).
    """

    low: Annotated[float, Meta(ge=0, le=1)] = 0.2
    high: Annotated[float, Meta(ge=0)] = 0.28
    dual: float | None = None

    def __post_init__(self) -> None:
        if self.dual is not None and self.dual <= 1 + self.high:
            raise ValueError(f"`dual` ({self.dual}) must be more than 1 + `high` ({1 + self.high})")


class _Kind(NamedTuple):
    ratio: Literal["token", "sequence"]
    mean: Literal["token", "sequence", "length"]
    clip: ClipConfig


_KINDS = {
    "dapo": _Kind("token", "token", ClipConfig()),  # arXiv 2503.14476, eq. 8
    "grpo": _Kind("token", "sequence", ClipConfig()),  # arXiv 2402.03300, eq. 3
    "dr_grpo": _Kind("token", "length", ClipConfig()),  # arXiv 2503.20783, section 3.2
    "gspo": _Kind("sequence", "sequence", ClipConfig(low=3e-4, high=4e-4)),  # arXiv 2507.18071, eq. 5
    "cispo": _Kind("token", "token", ClipConfig(high=4.0)),  # arXiv 2506.13585, eq. 4
}


class LossConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which loss. ``clip`` is the kind's own where it is not given; CISPO has no lower bound.

    ``sft`` is the token mean of -advantage x log-probability, without a ratio: nothing of who sampled the
    tokens is asked, so data can be trained on, with the advantage 1, and ``clip``, ``kl``, ``anchor`` and
    ``importance`` have no part in it.

    ``loss_length``: the constant that Dr. GRPO divides by besides the rollouts, in tokens. ``kl``: the weight
    of the divergence from the reference model (k3). ``unbiased_kl`` multiplies it by the ratio, without which
    its gradient is not that of the divergence (arXiv 2512.02556, section 3.1), even on policy. ``anchor``:
    the ratio is taken to the trainer's probabilities before the batch (decoupled PPO, arXiv 2505.24298, eq.
    5), or to the engines'.
    """

    loss: Literal["dapo", "grpo", "dr_grpo", "gspo", "cispo", "sft"] = "dapo"
    clip: ClipConfig | None = None
    loss_length: Annotated[int, Meta(ge=1)] | None = None
    kl: Annotated[float, Meta(ge=0)] = 0.0
    unbiased_kl: bool = True
    anchor: Literal["trainer", "engine"] = "trainer"
    importance: ImportanceConfig = ImportanceConfig()

    def __post_init__(self) -> None:
        if self.loss == "dr_grpo" and self.loss_length is None:
            raise ValueError("`loss` dr_grpo needs `loss_length`: the most tokens that a rollout may write")
        if self.loss == "sft" and self.kl:
            raise ValueError("`loss` sft has no `kl`: take another loss, or leave `kl` out")

    @property
    def imitates(self) -> bool:
        """Whether the tokens are taken as they are, whoever wrote them."""
        return self.loss == "sft"


class BatchSize(msgspec.Struct, frozen=True):
    """What a loss divides by. Ranks that share a batch add theirs up, and use the sum."""

    tokens: int
    rollouts: int

    @classmethod
    def of(cls, rollouts: Iterable[Rollout]) -> "BatchSize":
        """Count model-written tokens and rollouts."""
        lengths = [rollout.generated for rollout in rollouts]
        return cls(sum(lengths), len(lengths))


@dataclass(frozen=True)
class Terms:
    """A micro-batch's share of the loss, a scalar, and what its N tokens say of it, [N].

    ``low``, ``high``: whether the clip takes the token's gradient away; ``kl``: k3 from the reference. What
    the loss has no need of is None.
    """

    loss: Tensor
    low: Tensor | None = None
    high: Tensor | None = None
    weights: Weights | None = None
    kl: Tensor | None = None


def chosen(predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the log-probabilities of ``targets``, [N], out of those of every token, [N, V]."""
    return predicted.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def policy_loss(
    logprobs: Tensor,
    *,
    behaviour: Tensor,
    advantage: Tensor,
    segments: Segments,
    size: BatchSize,
    config: LossConfig,
    anchor: Tensor | None = None,
    reference: Tensor | None = None,
) -> Terms:
    """Return the loss of a micro-batch of N tokens; all tensors are [N], log-probabilities natural.

    ``logprobs`` have the gradient; ``behaviour`` sampled the tokens. ``anchor``: None for an update that is
    the first on its weights, where it would be ``logprobs``. ``reference``: needed where ``config.kl`` is
    positive.
    """
    if config.imitates:
        return Terms(loss=-(advantage * logprobs).sum() / size.tokens)
    kind = _KINDS[config.loss]
    clip = config.clip or kind.clip
    anchor = _anchor(logprobs, behaviour, anchor, config)
    log_ratio = logprobs - anchor
    ratio = (segments.mean(log_ratio) if kind.ratio == "sequence" else log_ratio).exp()
    if config.loss == "cispo":
        surrogate = ratio.detach().clamp(max=1 + clip.high) * advantage * logprobs
    else:
        bounded = ratio if clip.dual is None else ratio.clamp(max=clip.dual)
        surrogate = torch.minimum(bounded * advantage, ratio.clamp(1 - clip.low, 1 + clip.high) * advantage)
    weights = importance_weights(anchor, behaviour, segments, config.importance)
    losses = -surrogate * weights.values
    kl = None
    if config.kl:
        if reference is None:
            raise ValueError("`kl` needs the reference's log-probabilities")
        kl = k3(reference - logprobs)
        losses = losses + config.kl * (kl * ratio if config.unbiased_kl else kl)
    return Terms(
        loss=(losses * _shares(kind, segments, size, config)).sum(),
        low=(ratio < 1 - clip.low) & (advantage < 0) & (config.loss != "cispo"),
        high=(ratio > 1 + clip.high) & (advantage > 0),
        weights=weights,
        kl=kl,
    )


def k3(difference: Tensor) -> Tensor:
    """Estimate the divergence of p from q on samples of p, given log q - log p (Schulman 2020)."""
    return difference.exp() - 1 - difference


def _anchor(logprobs: Tensor, behaviour: Tensor, anchor: Tensor | None, config: LossConfig) -> Tensor:
    if config.anchor == "engine":
        return behaviour
    return logprobs.detach() if anchor is None else anchor


def _shares(kind: _Kind, segments: Segments, size: BatchSize, config: LossConfig) -> Tensor | float:
    """The share of each token in the loss: [N], or one for all."""
    if kind.mean == "token":
        return 1 / size.tokens
    if kind.mean == "length":
        return 1 / (size.rollouts * (config.loss_length or 1))
    return 1 / (size.rollouts * segments.lengths[segments.of])
