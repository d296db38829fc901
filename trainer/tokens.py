"""Chats as token ids, exactly as a rollout would have produced them.

Invariant: prompt, model turns and observations are encoded one by one and appended, so what training
sees is what the live path sees, boundary by boundary. Knows nothing of models or batches.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from headway.scheduler import Message
from headway.scheduler.chat import Chat

from .demonstrations import Demonstration, Segment


class Example(msgspec.Struct, frozen=True):
    """The ids of a whole chat, and which of them the model wrote; both of the same length."""

    ids: Sequence[int]
    written: Sequence[bool] | bytes


def encode(tokenizer: Any, chat: Chat, demonstration: Demonstration) -> Example:
    """Return the example that a demonstration makes."""
    return encode_turns(tokenizer, chat, demonstration.task.messages, demonstration.segments)


def encode_turns(
    tokenizer: Any, chat: Chat, prompt: Sequence[Message], segments: Iterable[Segment]
) -> Example:
    """Return the example of a prompt and what follows it; each model turn ends with the end-of-turn token."""
    ids = chat.prompt(prompt)
    written = [False] * len(ids)
    end = _end_of_turn(tokenizer, chat)
    turn: Sequence[int] = ()
    for segment in segments:
        if segment.written:
            piece = turn = model_turn(tokenizer, segment.text, end)
        else:
            piece = chat.observation(segment.text, after=turn)
        ids += piece
        written += [segment.written] * len(piece)
    return Example(ids, written)


def model_turn(tokenizer: Any, text: str, end: int | None = None) -> list[int]:
    """Return the ids that a model samples to write ``text`` and to end its turn, by default with its EOS."""
    return [
        *tokenizer.encode(text, add_special_tokens=False, verbose=False),
        tokenizer.eos_token_id if end is None else end,
    ]


def _end_of_turn(tokenizer: Any, chat: Chat) -> int:
    """The token with which the template closes a model turn, where a model may sample it; else its EOS."""
    closing = chat.observation("-", after=())[0]
    return closing if closing in chat.stop_token_ids else int(tokenizer.eos_token_id)
