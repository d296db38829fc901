"""How many tokens a chat has: exactly, by a model's own tokenizer and template, or by a rule of thumb.

Invariants: with a tokenizer, prompt, turns and observations are encoded one by one, as a rollout of headway
does. Knows nothing of times.
"""

import itertools
import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import msgspec

from headway.errors import InputError

from .chat import Chat

CHARACTERS = 4  # of a token, by the rule of thumb
_TEMPLATES = 256  # kept ready, one for each list of tools


class Measured(msgspec.Struct, frozen=True):
    """The prompt, as tokens or characters, and the tokens of every turn and of what stands after it."""

    prompt: str | tuple[int, ...]
    turns: list[tuple[int, int]]


class Ruler(Protocol):
    """Measures chats; ``per_token`` of the symbols of a prompt are a token."""

    per_token: int
    said: str

    def measure(self, chat: Chat) -> Measured:
        """Count one chat."""
        ...


class CharacterRuler:
    """Four characters are a token."""

    per_token = CHARACTERS
    said = f"{CHARACTERS} characters taken as a token"

    def measure(self, chat: Chat) -> Measured:
        """Count one chat; its tools' schemas are part of its prompt."""
        schemas = json.dumps(chat.tools) if chat.tools else ""
        prompt = "\n".join([schemas, *(text for _, text in chat.prompt)])
        turns = [(_tokens(turn.text), _tokens("\n".join(turn.observation))) for turn in chat.turns]
        return Measured(prompt, turns)


class TokenRuler:
    """Counts as a rollout of the model in a folder would; raises ``InputError`` where it has no tokenizer."""

    per_token = 1

    def __init__(self, model: Path) -> None:
        from transformers import AutoTokenizer

        from headway.scheduler import Chat as Template

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(model), local_files_only=True)
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise InputError(f"{model}: cannot load a tokenizer from this folder: {reason}") from error
        self.said = f"tokens counted by the tokenizer of {model.name}"
        self._tokenizer = tokenizer
        self._template = lru_cache(_TEMPLATES)(lambda tools: Template(tokenizer, json.loads(tools)))

    def measure(self, chat: Chat) -> Measured:
        """Count one chat."""
        from headway.scheduler import Message
        from headway.scheduler.hermes import render_responses
        from headway.trainer.demonstrations import Segment
        from headway.trainer.tokens import encode_turns

        template = self._template(json.dumps(chat.tools))
        segments = []
        for turn in chat.turns:
            said = render_responses(turn.observation) if turn.tools else "\n".join(turn.observation)
            segments += [Segment(True, turn.text), Segment(False, said)]
        prompt = [Message(role, text) for role, text in chat.prompt]
        example = encode_turns(self._tokenizer, template, prompt, segments[:-1])
        runs = [len(list(run)) for _, run in itertools.groupby(example.written)]
        turns = list(zip(runs[1::2], [*runs[2::2], 0], strict=True))
        return Measured(tuple(example.ids[: runs[0]]), turns)


def _tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS)
