"""Demonstrations as token ids, exactly as a rollout would have produced them.

Invariant: prompt, model turns and observations are encoded one by one and appended, so what training
sees is what the live path sees, boundary by boundary. Knows nothing of models or batches.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from headway.scheduler.chat import Chat

from .demonstrations import Demonstration


class Example(msgspec.Struct, frozen=True):
    """The ids of a whole chat, and which of them the model wrote; both of the same length."""

    ids: list[int]
    written: list[bool]


def encode(tokenizer: Any, chat: Chat, demonstration: Demonstration) -> Example:
    """Return the example that a demonstration makes; every model turn ends with the end-of-turn token."""
    ids = chat.prompt(demonstration.task.messages)
    written = [False] * len(ids)
    turn: Sequence[int] = ()
    for segment in demonstration.segments:
        if segment.written:
            piece = turn = model_turn(tokenizer, segment.text)
        else:
            piece = chat.observation(segment.text, after=turn)
        ids += piece
        written += [segment.written] * len(piece)
    return Example(ids, written)


def model_turn(tokenizer: Any, text: str) -> list[int]:
    """Return the ids that a model samples to write ``text`` and to end its turn."""
    return [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
