"""GRPO-RoC's choice of rollouts: resample on correct (rStar2-Agent, arXiv 2508.20722).

Of the 2G rollouts of a task, G are kept: failures drawn uniformly, successes with a preference for clean tool
use, so that a correct answer reached through failing calls teaches less. A group whose rewards are all
equal teaches nothing and is rejected. Pure; randomness is passed in.
"""

import random
from collections.abc import Sequence
from typing import Literal

import msgspec

from headway.scheduler import Rollout


class RocConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How successes are preferred.

    ``inverse`` draws them with weight 1 / (penalty + ``epsilon``), ``lowest`` takes the lowest penalties, as
    the released code does, ``uniform`` is plain down-sampling (GRPO).
    """

    method: Literal["inverse", "lowest", "uniform"] = "inverse"
    epsilon: float = 0.1


def tool_error_penalty(rollout: Rollout) -> float:
    """The share of failed tool calls; 0.5 for a rollout without any call (the paper's p_err)."""
    calls = rollout.tool_calls
    return sum(call.failed for call in calls) / len(calls) if calls else 0.5


def format_penalty(rollout: Rollout) -> float:
    """1 without an answer tag, else the surplus tags a turn, at most 1 (the paper's p_format)."""
    if rollout.answer_tags == 0:
        return 1.0
    return min(1.0, (rollout.answer_tags - 1) / len(rollout.turns))


def select(
    rollouts: Sequence[Rollout], keep: int, rng: random.Random, config: RocConfig
) -> list[Rollout] | None:
    """Return ``keep`` of a group's scored rollouts, or None for a group that teaches nothing.

    Failures and successes keep their proportion, with at least one of each. Rollouts without a reward (the
    system failed, not the model) are left out; None too if fewer than ``keep`` are left.
    """
    scored = [rollout for rollout in rollouts if rollout.reward is not None]
    right = [rollout for rollout in scored if rollout.reward]
    wrong = [rollout for rollout in scored if not rollout.reward]
    if len(scored) < keep or not right or not wrong or keep < 2:
        return None
    share = int(len(right) * keep / len(scored) + 0.5)
    n_right = min(max(share, 1, keep - len(wrong)), keep - 1, len(right))
    return _successes(right, n_right, rng, config) + rng.sample(wrong, keep - n_right)


def _successes(right: list[Rollout], count: int, rng: random.Random, config: RocConfig) -> list[Rollout]:
    if config.method == "uniform":
        return rng.sample(right, count)
    penalties = [tool_error_penalty(rollout) + format_penalty(rollout) for rollout in right]
    if config.method == "lowest":
        order = sorted(range(len(right)), key=penalties.__getitem__)
    else:
        # Weighted sampling without replacement (Efraimidis and Spirakis 2006): largest u ** (1 / weight).
        keys = [rng.random() ** (penalty + config.epsilon) for penalty in penalties]
        order = sorted(range(len(right)), key=keys.__getitem__, reverse=True)
    return [right[i] for i in order[:count]]


def advantages(rewards: Sequence[float], epsilon: float) -> list[float]:
    """Return (r - mean) / (std + epsilon), std with ddof 1 (GRPO, arXiv 2402.03300, section 4.1.2)."""
    mean = sum(rewards) / len(rewards)
    std = (sum((reward - mean) ** 2 for reward in rewards) / max(len(rewards) - 1, 1)) ** 0.5
    return [(reward - mean) / (std + epsilon) for reward in rewards]
