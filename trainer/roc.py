"""GRPO-RoC's choice of rollouts: resample on correct (rStar2-Agent, arXiv 2508.20722).

Of the 2G rollouts of a task, G are kept: failures drawn uniformly, successes with a preference for clean tool
use, so that a correct answer reached through failing calls teaches less. Half of each kind stay (in general
keep / samples of it), as in the paper and its released code: G/2 of each would make every task look half
solved to its advantages. A group whose rewards are all equal teaches nothing and is rejected. Pure;
randomness is passed in.
"""

import math
import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from headway.errors import InputError
from headway.scheduler import Rollout


class RocConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How successes are preferred.

    ``inverse`` draws them with weight 1 / (penalty + ``epsilon``), ``lowest`` takes the lowest penalties, as
    the released code does, ``uniform`` is plain down-sampling (GRPO). Equals are taken at random.
    ``least_right``, ``least_wrong``: so many of each kind are kept, where there are as many.
    """

    method: Literal["inverse", "lowest", "uniform"] = "inverse"
    epsilon: Annotated[float, Meta(ge=0)] = 0.1
    least_right: Annotated[int, Meta(ge=1)] = 1
    least_wrong: Annotated[int, Meta(ge=1)] = 1


class Rejection(StrEnum):
    """Why a group teaches nothing."""

    ALL_RIGHT = "all_right"
    ALL_WRONG = "all_wrong"
    UNSCORED = "unscored"  # fewer than ``keep`` rollouts have a reward
    TOO_OLD = "too_old"  # for the staleness that is allowed


def tool_error_penalty(rollout: Rollout) -> float:
    """The share of failed tool calls; 0.5 for a rollout without any call (the paper's p_err)."""
    calls = rollout.tool_calls
    return sum(call.failed for call in calls) / len(calls) if calls else 0.5


def format_penalty(rollout: Rollout) -> float:
    """1 without an answer tag, else the surplus tags a turn, at most 1 (the paper's p_format)."""
    if rollout.answer_tags == 0:
        return 1.0
    return min(1.0, (rollout.answer_tags - 1) / max(len(rollout.turns), 1))


def rejection(rollouts: Sequence[Rollout], keep: int) -> Rejection | None:
    """Say why a group teaches nothing, or None for one that does.

    Raises ``InputError`` at a reward that is not finite: nothing could be learnt from its whole batch.
    """
    for rollout in rollouts:
        if rollout.reward is not None and not math.isfinite(rollout.reward):
            raise InputError(
                f"rollout {rollout.id} of task {rollout.task} has the reward {rollout.reward}; "
                "a reward is a finite number, or None where it cannot be told"
            )
    rewards = [rollout.reward for rollout in rollouts if rollout.reward is not None]
    if len(rewards) < keep:
        return Rejection.UNSCORED
    if len(set(rewards)) > 1:
        return None
    return Rejection.ALL_RIGHT if rewards[0] > 0 else Rejection.ALL_WRONG


def select(rollouts: Sequence[Rollout], keep: int, rng: random.Random, config: RocConfig) -> list[Rollout]:
    """Return ``keep`` (two at least) of a group's scored rollouts; the group must not be one to reject.

    Failures and successes (a positive reward) keep their proportion, half a rollout goes to the successes,
    and the floors hold. Rollouts without a reward (the system failed, not the model) are left out.
    """
    right = [rollout for rollout in rollouts if rollout.reward is not None and rollout.reward > 0]
    wrong = [rollout for rollout in rollouts if rollout.reward is not None and rollout.reward <= 0]
    share = int(len(right) * keep / (len(right) + len(wrong)) + 0.5)
    least = max(min(config.least_right, len(right)), keep - len(wrong))
    most = min(len(right), keep - min(config.least_wrong, len(wrong)))
    n_right = min(max(share, least), most)
    return _successes(right, n_right, rng, config) + rng.sample(wrong, keep - n_right)


def _successes(right: list[Rollout], count: int, rng: random.Random, config: RocConfig) -> list[Rollout]:
    """Take the first ``count`` in a random order that prefers low penalties.

    ``inverse`` is weighted sampling without replacement (Efraimidis and Spirakis 2006): the largest
    u ** (1 / weight) first, here by its negative logarithm, which tells any two weights apart.
    """
    shuffled = rng.sample(right, len(right))
    if config.method == "uniform":
        return shuffled[:count]

    def rank(rollout: Rollout) -> float:
        penalty = tool_error_penalty(rollout) + format_penalty(rollout)
        if config.method == "lowest":
            return penalty
        return -math.log(1 - rng.random()) * (penalty + config.epsilon)

    return sorted(shuffled, key=rank)[:count]


def advantages(rewards: Sequence[float], epsilon: float, *, scaled: bool = True) -> list[float]:
    """Return (r - mean) / (std + epsilon), std with ddof 1 (GRPO, arXiv 2402.03300, section 4.1.2).

    Without ``scaled``, r - mean (Dr. GRPO, arXiv 2503.20783, section 3.2).
    """
    mean = sum(rewards) / len(rewards)
    if not scaled:
        return [reward - mean for reward in rewards]
    std = (sum((reward - mean) ** 2 for reward in rewards) / max(len(rewards) - 1, 1)) ** 0.5
    return [(reward - mean) / (std + epsilon) for reward in rewards]
