"""What a set of rollouts says of the policy: success, tool errors, lengths. Pure arithmetic over records."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from headway.scheduler import Rollout


class RolloutMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """Means over the rollouts that were ``scored``; shares are of 1; lengths are in tokens.

    ``pass_at_1`` is the mean reward. ``solved`` and ``fully_solved``: the share of groups with at least one
    right rollout (pass@n, n rollouts a group) and with right ones only. ``tool_error``: failed tool calls /
    tool calls; ``tool_error_in_correct``: the same in rollouts with a positive reward. ``staleness`` counts
    weight versions.
    """

    trajectories: int
    failed: int
    scored: int
    pass_at_1: float
    solved: float
    fully_solved: float
    tool_error: float
    tool_error_in_correct: float
    turns: float
    generated_tokens: int
    response_tokens: float
    response_tokens_max: int
    truncated: float
    preemptions: int
    staleness: float
    staleness_max: int


def measure(rollouts: Sequence[Rollout], *, version: int) -> RolloutMeasures:
    """Sum up rollouts; ``version`` is that of the weights in force, which staleness is counted from."""
    scored = [rollout for rollout in rollouts if rollout.reward is not None]
    stale = [
        max(version - v, 0)
        for rollout in scored
        for v, model in zip(rollout.versions, rollout.mask, strict=True)
        if model
    ]
    groups: dict[str, list[bool]] = defaultdict(list)
    for rollout in scored:
        groups[rollout.group].append(bool(rollout.reward))
    lengths = [rollout.generated for rollout in scored]
    return RolloutMeasures(
        trajectories=len(rollouts),
        failed=sum(rollout.failure is not None for rollout in rollouts),
        scored=len(scored),
        pass_at_1=_mean([float(rollout.reward or 0.0) for rollout in scored]),
        solved=_mean([any(right) for right in groups.values()]),
        fully_solved=_mean([all(right) for right in groups.values()]),
        tool_error=_tool_errors(scored),
        tool_error_in_correct=_tool_errors([rollout for rollout in scored if rollout.reward]),
        turns=_mean([len(rollout.turns) for rollout in scored]),
        generated_tokens=sum(rollout.generated for rollout in rollouts),
        response_tokens=_mean(lengths),
        response_tokens_max=max(lengths, default=0),
        truncated=_mean([rollout.finish_reason in ("length", "context", "max_turns") for rollout in scored]),
        preemptions=sum(turn.preemptions for rollout in rollouts for turn in rollout.turns),
        staleness=_mean(stale),
        staleness_max=max(stale, default=0),
    )


def _tool_errors(rollouts: Sequence[Rollout]) -> float:
    return _mean([call.failed for rollout in rollouts for call in rollout.tool_calls])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
