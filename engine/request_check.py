"""Decides whether an engine can take a turn at all, so that every kind of engine refuses the same ones."""

from collections.abc import Container

from headway.errors import InputError

from .protocol import EngineInfo, Request


def check_request(request: Request, info: EngineInfo, *, in_flight: Container[str]) -> None:
    """Raise ``InputError`` for a turn that ``info``'s engine cannot hold, ``ValueError`` for a reused id."""
    if request.id in in_flight:
        raise ValueError(f"turn {request.id} is already in flight on engine {info.id}")
    if not request.prompt:
        raise InputError(f"turn {request.id}: its prompt is empty; give at least one token")
    if len(request.prompt) >= info.max_context:
        raise InputError(
            f"turn {request.id}: its prompt of {len(request.prompt)} tokens leaves no room to answer within "
            f"engine {info.id}'s max_context of {info.max_context} tokens"
        )
    if request.sampling.max_tokens < 1:
        raise InputError(
            f"turn {request.id}: max_tokens is {request.sampling.max_tokens}; ask for at least 1"
        )
