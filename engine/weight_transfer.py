"""New weights that come from a trainer's memory in place of a file, by one of vLLM's own transfers.

Invariant: what an engine is told is all that it needs to receive the weights once; nothing stays open between
two updates. Knows nothing of GPUs, nor of how weights are sent.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, runtime_checkable

import msgspec

from headway.errors import InputError

from .protocol import Engine
from .safetensors_header import Shapes

# Brings an engine to a version, in place of ``Engine.update_weights`` with a file.
HandOver = Callable[[Engine, int], Awaitable[None]]


class WeightTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """What one engine is told: vLLM's own ``init_info`` and ``update_info`` of the transfer."""

    init: dict[str, Any]
    update: dict[str, Any]

    @property
    def shapes(self) -> Shapes:
        """The shape of each tensor that will come, by its name."""
        return dict(zip(self.update["names"], map(tuple, self.update["shapes"]), strict=True))


@runtime_checkable
class Receiver(Protocol):
    """An engine that takes weights in as they are sent."""

    async def receive_weights(self, transfer: WeightTransfer, version: int) -> None:
        """Do as ``Engine.update_weights`` does, with what a trainer sends."""
        ...


def receiver(engine: object) -> Receiver:
    """The engine, if it is one; raises ``InputError`` where it takes weights from files only."""
    if isinstance(engine, Receiver):
        return engine
    raise InputError(
        f'{type(engine).__name__} takes new weights from files only; set `weights` of the trainer to "file"'
    )
