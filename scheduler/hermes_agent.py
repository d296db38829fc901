"""The bundled agent: writes Hermes tool calls, reads their responses, answers in a box.

A rollout ends with the first turn that calls no tool (its last turn alone is searched for an answer), with a
turn that was cut off, at the turn limit, or when a tool response would not fit into the context.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated

import msgspec
from msgspec import Meta

from .agent import Outcome
from .chat import Chat
from .episode import Episode
from .hermes import Call, Malformed, boxed_answer, parse_calls, render_responses
from .tool import StatefulTool, Tool


class AgentLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a rollout may get: model turns, tokens in one turn, and tokens after the prompt in all.

    The last counts what tools say, too (None: what fits into the context).
    """

    max_turns: Annotated[int, Meta(ge=1)] = 10
    max_turn_tokens: Annotated[int, Meta(ge=1)] = 4096
    max_response_tokens: Annotated[int, Meta(ge=1)] | None = None


class HermesAgent:
    """Solves tasks with tools, for any model that ``Chat`` can render."""

    def __init__(
        self, chat: Chat, tools: Sequence[Tool | StatefulTool], limits: AgentLimits | None = None
    ) -> None:
        self._chat = chat
        self._tools = tools
        self._limits = limits or AgentLimits()

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """The tokens that end a model turn."""
        return self._chat.stop_token_ids

    async def __call__(self, episode: Episode) -> Outcome:
        """Run one episode."""
        async with AsyncExitStack() as opened:
            tools = [
                await opened.enter_async_context(tool.open()) if isinstance(tool, StatefulTool) else tool
                for tool in self._tools
            ]
            return await self._run(episode, {tool.name: tool for tool in tools})

    async def _run(self, episode: Episode, tools: dict[str, Tool]) -> Outcome:
        episode.observe(self._chat.prompt(episode.task.messages))
        if self._limits.max_response_tokens is not None:
            episode.limit_response(self._limits.max_response_tokens)
        tags = 0
        for _ in range(self._limits.max_turns):
            turn = await episode.generate(self._limits.max_turn_tokens)
            if turn.finish_reason != "stop":
                return Outcome("length", answer_tags=tags)
            text = self._chat.decode(turn.tokens)
            tags += text.count("<answer>")
            calls = parse_calls(text, self._chat.tools)
            if not calls:
                answer = boxed_answer(text)
                return Outcome("no_answer" if answer is None else "answer", answer, tags)
            async with asyncio.TaskGroup() as running:
                responses = [running.create_task(_respond(episode, call, tools)) for call in calls]
            content = render_responses([response.result() for response in responses])
            observation = self._chat.observation(content, after=turn.tokens)
            if len(observation) >= episode.room:
                return Outcome("context", answer_tags=tags)
            episode.observe(observation)
        return Outcome("max_turns", answer_tags=tags)


async def _respond(episode: Episode, call: Call | Malformed, tools: dict[str, Tool]) -> str:
    if isinstance(call, Malformed):
        episode.note_malformed()
        return call.reason
    return (await episode.call(tools[call.name], call.arguments)).text
