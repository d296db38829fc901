"""One trajectory as its agent sees it: tokens so far, and the two things to wait for, a turn and a tool.

Invariants: tokens are only ever appended, each with its mask, logprob and version; nothing is tokenised
again. A trajectory that was begun before takes its turns from that record for as long as all that stands
before them is the same; its tools are run again. Knows nothing of where a turn runs.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from headway.engine import Generation
from headway.errors import InputError

from .rollout import Rollout, ToolCall, TurnSpan
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
    """Handed to an agent; collects what becomes the rollout. ``max_context`` is in tokens.

    ``begun`` is what an earlier run left of this trajectory.
    """

    def __init__(
        self,
        *,
        id: str,
        group: str,
        task: Task,
        priority: int,
        max_context: int,
        hooks: Hooks,
        begun: Rollout | None = None,
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
        self._begun = begun
        self._in_turn = False

    @property
    def room(self) -> int:
        """Tokens that still fit into the context."""
        return self.max_context - len(self.tokens)

    def limit_response(self, tokens: int) -> None:
        """Allow at most so many tokens after the prompt, whoever writes them; said after the prompt."""
        self.max_context = min(self.max_context, self.prompt + tokens)

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
        turn = self._turn_from_before(limit)
        if turn is None:
            self._in_turn = True
            try:
                turn = await self._hooks.run_turn(self, limit)
            finally:
                self._in_turn = False
        return self._take(turn)

    def _turn_from_before(self, limit: int) -> Turn | None:
        """The next turn of the record that this trajectory goes on from, if it still fits here."""
        begun, start = self._begun, len(self.tokens)
        if begun is None or len(begun.turns) <= len(self.turns):
            return None
        span = begun.turns[len(self.turns)]
        if span.start != start or span.end - start > limit or begun.tokens[:start] != self.tokens:
            self._begun = None
            return None
        return Turn(
            span.engine,
            Generation(
                tokens=begun.tokens[start : span.end],
                logprobs=begun.logprobs[start : span.end],
                versions=begun.versions[start : span.end],
                finish_reason=span.finish,
            ),
        )

    def _take(self, turn: Turn) -> Generation:
        start, generation = len(self.tokens), turn.generation
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
