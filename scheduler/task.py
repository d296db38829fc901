"""What a rollout is asked to solve."""

from typing import Literal

import msgspec


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chat message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One problem: its chat so far, and the true answer if it can be verified."""

    id: str
    messages: list[Message]
    answer: str | None = None
