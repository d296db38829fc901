"""Looks rollouts over before a step computes anything of them.

What breaks the record's own rules is an error of whoever made it, and says so. What an engine could not
compute (a log-probability that is not a number) happens, and only costs the rollout. Knows nothing of
tensors.
"""

import math
from collections.abc import Sequence

from headway.errors import InputError
from headway.scheduler import Rollout

from .batch import Sample


def require_whole(samples: Sequence[Sample]) -> None:
    """Raise ``InputError`` at the first rollout whose record is not whole."""
    for sample in samples:
        _require_whole(sample.rollout)


def _require_whole(rollout: Rollout) -> None:
    length = len(rollout.tokens)
    if not length:
        raise InputError(f"rollout {rollout.id} has no tokens; leave it out of the batch")
    if not rollout.logprobs:
        raise InputError(
            f"rollout {rollout.id} has no logprobs; the engine must return one for each token that it samples"
        )
    for name in ("mask", "logprobs", "versions"):
        if len(getattr(rollout, name)) != length:
            raise InputError(
                f"rollout {rollout.id} has {length} tokens and {len(getattr(rollout, name))} {name}; "
                "it must have one of each for every token"
            )
    if rollout.mask[0]:
        raise InputError(
            f"rollout {rollout.id} begins with a token of the model; it must begin with a prompt"
        )


def scorable(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples whose model-written tokens all have a finite log-probability."""
    return [sample for sample in samples if _scorable(sample.rollout)]


def _scorable(rollout: Rollout) -> bool:
    pairs = zip(rollout.logprobs, rollout.mask, strict=True)
    return all(math.isfinite(logprob) for logprob, written in pairs if written)
