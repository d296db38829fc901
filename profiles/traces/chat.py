"""Transcripts of chats in the shape of OpenAI's API, lines of {"messages": [...]}: what was written by whom.

A model's turn is its text and its tool calls; consecutive messages of an assistant are one turn. What stands
between two turns is one observation. More keys are ignored, and so are parts of a message that are no text.
Knows nothing of tokens or times.
"""

import json
from itertools import groupby
from typing import Any, Literal

import msgspec

from headway.errors import InputError

_SPEAKERS = {"system": "system", "developer": "system", "user": "user"}


class _Part(msgspec.Struct):
    text: str = ""


class _Function(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any] = ""


class _ToolCall(msgspec.Struct):
    function: _Function


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None

    @property
    def text(self) -> str:
        """All that is text in it."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class _Line(msgspec.Struct):
    messages: list[_Message]
    tools: list[dict[str, Any]] | None = None


class Turn(msgspec.Struct, frozen=True):
    """What the model wrote, the tools that it called, and what was said before it wrote again."""

    text: str
    tools: list[str]
    observation: list[str]


class Chat(msgspec.Struct, frozen=True):
    """The messages up to the first turn, by role; the schemas of its tools; and the turns."""

    prompt: list[tuple[Literal["system", "user"], str]]
    tools: list[dict[str, Any]]
    turns: list[Turn]


def parse_chat(line: bytes, place: str) -> Chat:
    """Read one line; raises ``InputError`` that names ``place``."""
    try:
        decoded = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{place}: not a chat: {error}") from error
    runs = [list(run) for _, run in groupby(decoded.messages, lambda message: message.role == "assistant")]
    if len(runs) < 2 or runs[0][0].role == "assistant":
        raise InputError(
            f"{place}: `messages` must begin with a system's or a user's and have an assistant's after it"
        )
    observations = [*([message.text for message in run] for run in runs[2::2]), []]
    return Chat(
        prompt=[(_speaker(message, place), message.text) for message in runs[0]],
        tools=decoded.tools or [],
        turns=[
            Turn("\n".join(map(_written, run)), _called(run), observation)
            for run, observation in zip(runs[1::2], observations, strict=False)
        ],
    )


def _speaker(message: _Message, place: str) -> Literal["system", "user"]:
    match _SPEAKERS.get(message.role):
        case "system":
            return "system"
        case "user":
            return "user"
        case _:
            raise InputError(f"{place}: `messages` has a tool's before the first of an assistant")


def _called(run: list[_Message]) -> list[str]:
    return [call.function.name for message in run for call in message.tool_calls or ()]


def _written(message: _Message) -> str:
    calls = (_call(call.function) for call in message.tool_calls or ())
    return "\n".join(filter(None, [message.reasoning_content, message.text, *calls]))


def _call(function: _Function) -> str:
    arguments = function.arguments if isinstance(function.arguments, str) else json.dumps(function.arguments)
    return f'<tool_call>\n{{"name": "{function.name}", "arguments": {arguments or "{}"}}}\n</tool_call>'
