"""Rollout records as tests need them, and what a step says of them."""

import random

import msgspec

from headway.scheduler.rollout import Failure, Rollout, ToolCall, TurnSpan
from headway.trainer.step_report import StepReport


def rollout(
    *,
    reward: float | None = 0.0,
    calls: str = "",
    answer_tags: int = 1,
    turns: int = 1,
    prompt: int = 3,
    written: int = 4,
    id: str = "g1.0",
    group: str = "g1",
    failure: Failure | None = None,
    vocabulary: int = 50,
    seed: int = 0,
) -> Rollout:
    """A rollout; ``calls`` has a letter for each tool call: ``.`` one that worked, ``x`` one that failed."""
    rng = random.Random(seed)
    tokens = [rng.randrange(vocabulary) for _ in range(prompt + written)]
    return Rollout(
        id=id,
        group=group,
        task="t",
        prompt=prompt,
        tokens=tokens,
        mask=[False] * prompt + [True] * written,
        logprobs=[0.0] * prompt + [-rng.random() * 3 for _ in range(written)],
        versions=[-1] * prompt + [2] * written,
        turns=[
            TurnSpan(
                start=prompt, end=prompt + written, engine="e", finish="stop", cached_tokens=0, preemptions=1
            )
        ]
        * turns,
        tool_calls=[
            ToolCall(turn=0, tool="python", status="ok" if call == "." else "error") for call in calls
        ],
        finish_reason="answer",
        answer_tags=answer_tags,
        reward=reward,
        failure=failure or (None if reward is not None else Failure("engine", "died")),
    )


def untimed(report: StepReport) -> StepReport:
    """What the step did, however long it took."""
    return msgspec.structs.replace(report, seconds=0.0, compute_seconds=0.0, overhead=0.0)
