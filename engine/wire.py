"""The messages between an engine's process and the one that started it, and how they are framed.

Invariant: a frame is a length (4 bytes, little endian) and one msgpack message; every call is answered by
exactly one ``Answer`` with its number. Knows nothing of what either side does with them.
"""

import asyncio

import msgspec

from .config import EngineConfig
from .protocol import EngineInfo, EngineStats, Generation, Request
from .weight_transfer import WeightTransfer


class Start(msgspec.Struct, frozen=True, tag=True):
    """The first message: which engine to be."""

    engine_id: str
    config: EngineConfig


class Generate(msgspec.Struct, frozen=True, tag=True):
    """Answered with the ``Generation``."""

    call: int
    request: Request


class Abort(msgspec.Struct, frozen=True, tag=True):
    """Answered once vLLM has been told; the turn's own answer comes by itself."""

    call: int
    request_id: str


class Pause(msgspec.Struct, frozen=True, tag=True):
    """Answered once the engine stands still."""

    call: int


class Resume(msgspec.Struct, frozen=True, tag=True):
    """Answered once the engine steps again."""

    call: int


class UpdateWeights(msgspec.Struct, frozen=True, tag=True):
    """Answered once the new weights are in use."""

    call: int
    weights: str
    version: int


class ReceiveWeights(msgspec.Struct, frozen=True, tag=True):
    """Answered once the new weights, which the trainer sends, are in use."""

    call: int
    transfer: WeightTransfer
    version: int


class Phase(msgspec.Struct, frozen=True, tag=True):
    """What the engine is doing until it is ready."""

    name: str


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The engine has started."""

    info: EngineInfo


class Stats(msgspec.Struct, frozen=True, tag=True):
    """Sent after every step."""

    stats: EngineStats


class Answer(msgspec.Struct, frozen=True, tag=True):
    """The end of one call: a generation for ``Generate``, nothing for the others, or why it failed.

    ``refused`` tells a call that the engine rejected (its input was at fault) from one that it failed at.
    """

    call: int
    generation: Generation | None = None
    error: str | None = None
    refused: bool = False


Call = Generate | Abort | Pause | Resume | UpdateWeights | ReceiveWeights
Command = Start | Call
Report = Phase | Ready | Stats | Answer

_commands = msgspec.msgpack.Decoder(Command)
_reports = msgspec.msgpack.Decoder(Report)


def frame(message: Command | Report) -> bytes:
    """``message`` as it goes over the socket."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "little") + body


async def read_command(reader: asyncio.StreamReader) -> Command | None:
    """The next message to an engine; None once the other side is gone."""
    body = await _read(reader)
    return None if body is None else _commands.decode(body)


async def read_report(reader: asyncio.StreamReader) -> Report | None:
    """The next message from an engine; None once the other side is gone."""
    body = await _read(reader)
    return None if body is None else _reports.decode(body)


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    try:
        length = int.from_bytes(await reader.readexactly(4), "little")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
