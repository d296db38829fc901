"""Reads the lists that the benchmark's options take: ``0.3,1,3`` or ``headroom,capped:limit=26``."""

from collections.abc import Callable
from typing import TypeVar

from headway.errors import InputError

T = TypeVar("T")


def numbers(option: str, text: str, kind: Callable[[str], T]) -> list[T]:
    """Read numbers between commas, each once."""
    try:
        read = [kind(part) for part in _parts(text)]
    except ValueError:
        whole = "whole " if kind is int else ""
        raise InputError(
            f"{option} {text}: give {whole}numbers with commas between them, such as 1,2"
        ) from None
    if not read:
        raise InputError(f"{option} {text!r}: give at least one number")
    return list(dict.fromkeys(read))


def names(text: str) -> list[str]:
    """Read names between commas, each once."""
    return list(dict.fromkeys(_parts(text)))


def specs(text: str) -> list[str]:
    """Read policies between commas; a ``key=value`` is one more option of the policy before it."""
    read: list[str] = []
    for part in _parts(text):
        if read and "=" in part and ":" not in part.partition("=")[0]:
            read[-1] += f",{part}"
        else:
            read.append(part)
    return list(dict.fromkeys(read))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
