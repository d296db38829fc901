"""One trajectory as its agent sees it: tokens so far, and the two things to wait for, a turn and a tool.

Invariant: tokens are only ever appended, each with its mask, logprob and version; nothing is tokenised again.
Knows nothing of where a turn runs.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from headway.engine import Generation
from headway.errors import InputError

from .rollout import ToolCall, TurnSpan
from .task import Task
from .tool import Observation, Tool


class Turn(msgspec.Struct, frozen=True):
    """A generated turn, and the engine that ran it."""

    engine: str
    generation: Generation


class Hooks(msgspec.Struct, frozen=True):
    """What an episode asks of the scheduler: to run its next turn, and to note its tool calls."""

    run_turn: Callable[["Episode", int], Awaitable[Turn]]
    tool_started: Callable[["Episode", str], None]
    tool_ended: Callable[["Episode", str, str], None]


class Episode:
    """Handed to an agent; collects what becomes the rollout. ``max_context`` is in tokens."""

    def __init__(
        self, *, id: str, group: str, task: Task, priority: int, max_context: int, hooks: Hooks
    ) -> None:
        self.id = id
        self.group = group
        self.task = task
        self.priority = priority
        self.max_context = max_context
        self.prompt = 0
        self.tokens: list[int] = []
        self.mask: list[bool] = []
        self.logprobs: list[float] = []
        self.versions: list[int] = []
        self.turns: list[TurnSpan] = []
        self.tool_calls: list[ToolCall] = []
        self._hooks = hooks
        self._in_turn = False

    @property
    def room(self) -> int:
        """Tokens that still fit into the context."""
        return self.max_context - len(self.tokens)

    def observe(self, tokens: Sequence[int]) -> None:
        """Append tokens that the model did not write; before the first turn they are the prompt."""
        if len(tokens) >= self.room:
            where = "prompt" if not self.turns else "observation"
            raise InputError(
                f"task {self.task.id}: the {where} has {len(tokens)} tokens, and {self.room - 1} fit into "
                f"the context of {self.max_context} with one left to generate"
            )
        self._append(tokens, mask=False, logprobs=[0.0] * len(tokens), versions=[-1] * len(tokens))
        if not self.turns:
            self.prompt = len(self.tokens)

    async def generate(self, max_tokens: int | None = None) -> Generation:
        """Let the model write its next turn, of at most ``max_tokens`` and what fits.

        A call that is cancelled or fails leaves the episode as it was, and may be made again.
        """
        if self._in_turn:
            raise RuntimeError(f"trajectory {self.id}: generate() was called while a turn is in flight")
        limit = self.room if max_tokens is None else min(max_tokens, self.room)
        start = len(self.tokens)
        self._in_turn = True
        try:
            turn = await self._hooks.run_turn(self, limit)
        finally:
            self._in_turn = False
        generation = turn.generation
        self._append(generation.tokens, mask=True, logprobs=generation.logprobs, versions=generation.versions)
        self.turns.append(
            TurnSpan(
                start=start,
                end=len(self.tokens),
                engine=turn.engine,
                finish=generation.finish_reason,
                cached_tokens=generation.cached_tokens,
                preemptions=generation.preemptions,
            )
        )
        return generation

    async def call(self, tool: Tool, arguments: dict[str, Any]) -> Observation:
        """Run a tool and note the call, in the order in which calls are made."""
        self._hooks.tool_started(self, tool.name)
        place = len(self.tool_calls)
        call = ToolCall(turn=len(self.turns) - 1, tool=tool.name, status="fault")
        self.tool_calls.append(call)
        try:
            observation = await tool.run(arguments)
            self.tool_calls[place] = call = ToolCall(
                turn=call.turn,
                tool=tool.name,
                status=observation.status,
                wall_s=observation.wall_s,
                cpu_s=observation.cpu_s,
            )
        finally:
            self._hooks.tool_ended(self, tool.name, call.status)
        return observation

    def note_malformed(self) -> None:
        """Note a tool call that could not be run."""
        self.tool_calls.append(ToolCall(turn=len(self.turns) - 1, tool="", status="malformed"))

    def _append(
        self, tokens: Sequence[int], *, mask: bool, logprobs: Sequence[float], versions: Sequence[int]
    ) -> None:
        self.tokens.extend(tokens)
        self.mask.extend([mask] * len(tokens))
        self.logprobs.extend(logprobs)
        self.versions.extend(versions)
