"""The record of one trajectory, as it is handed to a trainer and written to a file.

Invariants: ``tokens``, ``mask``, ``logprobs`` and ``versions`` have one entry a token; where ``mask`` is
false (prompt and observations) the logprob is 0 and the version -1. A failed trajectory is a record with
a ``failure``; one that was still live is ``unfinished``, and has whole turns only.
"""

from typing import Literal

import msgspec

from headway.engine.protocol import FinishReason as TurnFinish

FinishReason = Literal["answer", "no_answer", "max_turns", "length", "context", "failed", "unfinished"]
Boundary = Literal["engine", "sandbox", "reward", "agent", "overload", "cancelled"]


class Failure(msgspec.Struct, frozen=True):
    """Why a trajectory failed, by the boundary that the failure crossed."""

    boundary: Boundary
    message: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call: ``status`` is the sandbox's, ``malformed`` (not run) or ``fault`` (the tool's own)."""

    turn: int
    tool: str
    status: str
    wall_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether the model's call did not work (its own fault; a session that expired is not)."""
        return self.status not in ("ok", "expired")


class TurnSpan(msgspec.Struct, frozen=True, kw_only=True):
    """One model turn: ``tokens[start:end]``, and what the engine said of it."""

    start: int
    end: int
    engine: str
    finish: TurnFinish
    cached_tokens: int
    preemptions: int


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """One finished or failed trajectory. ``prompt`` is the number of leading tokens of the first prompt."""

    id: str
    group: str
    task: str
    prompt: int
    tokens: list[int]
    mask: list[bool]
    logprobs: list[float]
    versions: list[int]
    turns: list[TurnSpan]
    tool_calls: list[ToolCall]
    finish_reason: FinishReason
    answer: str | None = None
    answer_tags: int = 0
    reward: float | None = None
    failure: Failure | None = None
    text: str | None = None

    @property
    def generated(self) -> int:
        """Tokens that the model wrote."""
        return sum(self.mask)


class Group(msgspec.Struct, frozen=True):
    """All rollouts of one task."""

    task: str
    rollouts: list[Rollout]
