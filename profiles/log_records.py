"""The lines of an event log: its header, every kind of event, and the marks between them.

Knows nothing of files.
"""

from typing import Literal

import msgspec

from headway.errors import InputError
from headway.scheduler import events

from .gpu.sample import GpuFound, GpuSample

VERSION = 2
READABLE = (1, 2)  # without marks before 2

AnyEvent = (
    events.EngineStarted
    | events.EngineChanged
    | events.EngineLoad
    | events.TrajectoryStarted
    | events.TrajectoryEnded
    | events.TurnReady
    | events.TurnHeld
    | events.TurnDispatched
    | events.TurnEnded
    | events.TurnAbandoned
    | events.Parked
    | events.ToolStarted
    | events.ToolEnded
    | events.PhaseChanged
    | events.LoopLate
    | events.Noted
    | GpuFound
    | GpuSample
)


class Mark(events.Event, frozen=True, kw_only=True):
    """A writer's word that the log holds ``events`` events up to here; ``last`` if it was closed then."""

    events: int
    last: bool = False


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. ``wall_ns`` is the Unix time at which the log's clock stood at ``t``; ``pid`` is the
    writer's."""

    schema: Literal["headway.events"] = "headway.events"
    version: int = VERSION
    t: int
    wall_ns: int
    engines: list[str]
    model: str
    policy: str
    pid: int | None = None


def read_header(name: object, line: bytes) -> Header:
    """The header in the first line of the log ``name``; raises ``InputError`` where it is none."""
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{name}:1: not the header of an event log: {error}") from error
    if header.version not in READABLE:
        raise InputError(
            f"{name}:1: the log has schema version {header.version}; this headway reads "
            f"{' and '.join(map(str, READABLE))}"
        )
    return header
