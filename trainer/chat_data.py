"""Chats to learn from, as examples: rows of messages in the shape of OpenAI's API, rendered as a rollout is.

Invariants: a row is used whole, left out because it is too long and then counted, or an ``InputError`` that
says where it is and what is wrong with it; a tool call in it is one that a rollout would have run. Knows
nothing of models or training.
"""

import json
from array import array
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from headway.errors import InputError
from headway.scheduler import Message
from headway.scheduler.chat import Chat
from headway.scheduler.hermes import Malformed, parse_calls, render_responses
from headway.scheduler.task_rows import Row, read_rows

from .demonstrations import Segment
from .tokens import Example, encode_turns

_CHATS = 256  # kept ready, one for each list of tools


class _Function(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any]


class _ToolCall(msgspec.Struct):
    function: _Function
    id: str | None = None


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    id: str | None = None


class _Named(msgspec.Struct):
    name: str


class _Tool(msgspec.Struct):
    function: _Named


class ChatData(msgspec.Struct, frozen=True):
    """The ``examples`` of a file, in its order, and how many chats were left out for their length."""

    examples: list[Example]
    too_long: int

    @property
    def tokens(self) -> int:
        """All tokens of the examples."""
        return sum(len(example.ids) for example in self.examples)

    @property
    def written(self) -> int:
        """Those of them that have a loss."""
        return sum(sum(example.written) for example in self.examples)


def load_chats(path: Path, tokenizer: Any, *, max_tokens: int) -> ChatData:
    """Read a file of chats (JSON lines, JSON, parquet).

    A row has ``messages`` and, where they call tools, ``tools``: a list of schemas, or that as JSON text.
    Raises ``InputError`` at the first row that is not such a chat, and where none is short enough.
    """
    chat_with = lru_cache(_CHATS)(lambda tools: Chat(tokenizer, json.loads(tools)))
    rows = read_rows(path)
    if not rows:
        raise InputError(f'{path}: holds no chat; write one {{"messages": [...]}} a line')
    examples = []
    for row in rows:
        try:
            example = _example(row, tokenizer, chat_with(_tools(row)))
        except (InputError, msgspec.ValidationError) as error:
            raise InputError(f"{row.place}: not a chat to learn from: {error}") from error
        if len(example.ids) <= max_tokens:
            examples.append(example)
    if not examples:
        raise InputError(f"{path}: every chat is longer than {max_tokens} tokens; allow more, or cut them")
    return ChatData(examples, too_long=len(rows) - len(examples))


def _tools(row: Row) -> str:
    """The schemas as JSON text, fit for a key."""
    tools = _decoded(row, "tools", row.get("tools") or [])
    msgspec.convert(tools, list[_Tool])
    return json.dumps(tools)


def _example(row: Row, tokenizer: Any, chat: Chat) -> Example:
    messages = msgspec.convert(_without_nulls(row.get("messages") or []), list[_Message])
    prompt, segments = _turns(row, messages)
    if any(message.tool_calls for message in messages) and not chat.tools:
        raise InputError("a message calls a tool, and the row has no `tools`")
    for segment in segments:
        for call in parse_calls(segment.text, chat.tools) if segment.written and chat.tools else ():
            if isinstance(call, Malformed):
                raise InputError(f"{call.reason} ({segment.text!r:.120})")
    example = encode_turns(tokenizer, chat, prompt, segments)
    return Example(array("i", example.ids), bytes(example.written))  # a tenth of what lists would need


def _without_nulls(messages: Any) -> Any:
    """What is null is not there: a column of objects has every key that any row has."""
    if not isinstance(messages, list):
        return messages
    return [
        {key: value for key, value in message.items() if value is not None}
        if isinstance(message, dict)
        else message
        for message in messages
    ]


def _turns(row: Row, messages: Sequence[_Message]) -> tuple[list[Message], list[Segment]]:
    """The messages before the first model turn; the model's turns, and what stands between them."""
    first = next((at for at, message in enumerate(messages) if message.role == "assistant"), 0)
    if not first or messages[-1].role != "assistant":
        raise InputError("`messages` must begin with a system's or a user's and end with an assistant's")
    prompt = [Message(_author(message), _content(message)) for message in messages[:first]]
    segments: list[Segment] = []
    between: list[_Message] = []
    caller = messages[first]
    for message in messages[first:]:
        if message.role != "assistant":
            between.append(message)
            continue
        if segments:
            segments.append(Segment(False, _observation(between, caller)))
        segments.append(Segment(True, _written(row, message)))
        between, caller = [], message
    return prompt, segments


def _author(message: _Message) -> Literal["system", "user"]:
    if message.role in ("system", "user"):
        return message.role
    raise InputError("`messages` has a tool's before the first of an assistant")


def _observation(messages: Sequence[_Message], caller: _Message) -> str:
    """What stands between two model turns, of which ``caller`` is the first, as one user message."""
    calls = caller.tool_calls or []
    match [message.role for message in messages]:
        case ["user"] if not calls:
            return _content(messages[0])
        case ["tool", *rest] if set(rest) <= {"tool"}:
            return render_responses([message.content or "" for message in _in_order(messages, calls)])
        case _ if calls:
            raise InputError(
                "a message that calls tools must be followed by those of the tools, and no others"
            )
        case roles:
            raise InputError(
                "between two messages of an assistant there must be one of a user or those of tools; "
                f"here there is {', '.join(roles) or 'nothing'}"
            )


def _in_order(answers: Sequence[_Message], calls: Sequence[_ToolCall]) -> Sequence[_Message]:
    """The tools' messages in the order of the calls, by their ids where both have them."""
    if len(answers) != len(calls):
        raise InputError(f"{len(calls)} tool calls are followed by {len(answers)} messages of tools")
    by_id = {answer.tool_call_id: answer for answer in answers}
    ids = [call.id for call in calls]
    if None in ids or None in by_id:
        return answers
    if set(ids) != set(by_id) or len(by_id) < len(answers):
        raise InputError("the `tool_call_id`s of tools' messages are not the `id`s of the calls before them")
    return [by_id[id] for id in ids]


def _content(message: _Message) -> str:
    if not message.content:
        raise InputError(f"a message of the {message.role} has no content")
    return message.content


def _written(row: Row, message: _Message) -> str:
    """A model turn: its text, then its calls."""
    calls = [_call(row, call.function) for call in message.tool_calls or ()]
    parts = [*([message.content] if message.content else []), *calls]
    if not parts:
        raise InputError("a message of the assistant has neither content nor tool calls")
    return "\n".join(parts)


def _call(row: Row, function: _Function) -> str:
    arguments = _decoded(row, "arguments", function.arguments)
    if not isinstance(arguments, dict):
        raise InputError(f"the arguments of a call of {function.name} are not a JSON object")
    call = json.dumps({"name": function.name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"


def _decoded(row: Row, name: str, value: Any) -> Any:
    """A nested value, which may be given as JSON text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError as error:
            raise InputError(f"`{name}` is text that is not JSON: {error}") from error
    if value and ".parquet: row" in row.place:
        # A column of objects has every key that any row has, and what a row lacks cannot be told from null.
        raise InputError(f"`{name}` must be JSON text in a parquet file")
    return value
