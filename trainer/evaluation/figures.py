"""The figures of an evaluation, each with its interval, from what every task's rollouts came to."""

from collections.abc import Sequence

import msgspec

from .statistics import Estimate, mean, pass_at_k, share
from .task_score import TaskScore


class PassAtK(msgspec.Struct, frozen=True):
    """pass@k over the ``tasks`` that have at least k scored rollouts."""

    k: int
    tasks: int
    estimate: Estimate


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation came to; shares are of 1, lengths in tokens, None where there is nothing to count.

    ``avg_at_n`` is the mean over tasks of each task's share of right rollouts, which is also the unbiased
    pass@1. ``tool_error``: failed calls / calls; ``tool_error_in_correct``: the same in right rollouts.
    """

    tasks: int
    rollouts: int
    unscored: int
    avg_at_n: Estimate | None
    pass_at: list[PassAtK]
    response_tokens: Estimate | None
    turns: Estimate | None
    truncated: Estimate | None
    tool_error: Estimate | None
    tool_error_in_correct: Estimate | None


def figures(scores: Sequence[TaskScore], ks: Sequence[int]) -> Figures:
    """Sum up; ``ks`` are those of pass@k."""
    scored = [score for score in scores if score.n]
    n = [float(score.n) for score in scored]
    return Figures(
        tasks=len(scored),
        rollouts=sum(score.n for score in scored),
        unscored=sum(score.unscored for score in scores),
        avg_at_n=_pass_at(scored, 1),
        pass_at=[
            PassAtK(k, sum(score.n >= k for score in scored), estimate)
            for k in ks
            if (estimate := _pass_at(scored, k)) is not None
        ],
        response_tokens=mean([score.response_tokens for score in scored], n),
        turns=mean([score.turns for score in scored], n),
        truncated=_share([(score.truncated, score.n) for score in scored]),
        tool_error=_share([(score.failed_calls, score.calls) for score in scored]),
        tool_error_in_correct=_share(
            [(score.failed_calls_in_correct, score.calls_in_correct) for score in scored]
        ),
    )


def _pass_at(scores: Sequence[TaskScore], k: int) -> Estimate | None:
    enough = [score for score in scores if score.n >= k]
    values = [pass_at_k(score.n, score.correct, k) for score in enough]
    return share(values, [1.0] * len(values), units=sum(score.n for score in enough))


def _share(counts: Sequence[tuple[int, int]]) -> Estimate | None:
    parts, wholes = [part for part, _ in counts], [whole for _, whole in counts]
    return share(parts, wholes, units=sum(wholes))
