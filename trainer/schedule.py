"""The learning rate of each optimiser step: a linear warm-up, then constant or a cosine. Pure arithmetic."""

import math


def learning_rate(
    step: int, *, peak: float, warmup_steps: int, decay_steps: int | None, decay_to: float
) -> float:
    """Return the rate of optimiser step ``step``, the first of which is 1.

    Without ``decay_steps`` it stays at ``peak`` after the warm-up; with them, a cosine takes so many steps
    from there to ``decay_to`` times the peak, where it stays.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    if decay_steps is None:
        return peak
    done = min(1.0, (step - warmup_steps) / decay_steps)
    return peak * (decay_to + (1 - decay_to) * (1 + math.cos(math.pi * done)) / 2)
