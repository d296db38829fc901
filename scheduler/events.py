"""What the scheduler says of its work: one struct an event, in the order in which things happen.

``t`` is integer nanoseconds on the event loop's clock. Every trajectory has one ``TrajectoryStarted`` and one
``TrajectoryEnded``; every ``TurnReady`` is followed by ``TurnDispatched`` and ``TurnEnded``, or else by
``TurnAbandoned``; every tool call has one ``ToolStarted`` and one ``ToolEnded``.
"""

import asyncio
from typing import Literal, Protocol

import msgspec

Phase = Literal["rollout", "training", "evaluation", "screening", "idle"]
EngineState = Literal["starting", "ready", "weight_sync", "stalled", "down", "stopped"]


def now_ns() -> int:
    """The running event loop's time in integer nanoseconds."""
    return round(asyncio.get_running_loop().time() * 1e9)


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="event"):
    """The base of every event."""

    t: int


class EngineStarted(Event, frozen=True, kw_only=True):
    """What an engine is made of, once it runs; sizes in tokens. ``gpus`` as the driver numbers or names them;
    ``pids`` are its processes."""

    engine: str
    kind: str
    version: str
    device: str
    kv_tokens: int
    block_size: int
    max_context: int
    max_num_seqs: int | None = None
    gpus: list[str] = []
    pids: list[int] = []


class EngineChanged(Event, frozen=True, kw_only=True):
    """An engine is in another state from now on.

    ``stalled``: turns are on it, and it has taken no step for far longer than any of its steps took.
    """

    engine: str
    state: EngineState
    weight_version: int | None = None


class EngineLoad(Event, frozen=True, kw_only=True):
    """What an engine reported of itself: its own queue, and the KV of its running requests (0..1).

    ``steps``, ``generated`` and ``prefilled`` (prompt tokens that it computed) count since it started.
    """

    engine: str
    running: int
    waiting: int
    kv_usage: float
    steps: int = 0
    generated: int = 0
    prefilled: int = 0


class TrajectoryStarted(Event, frozen=True, kw_only=True):
    """A trajectory is live."""

    trajectory: str
    group: str
    task: str


class TrajectoryEnded(Event, frozen=True, kw_only=True):
    """A trajectory is over: finished, or failed at the boundary named in ``cause``."""

    trajectory: str
    status: Literal["finished", "failed"]
    cause: str
    turns: int
    tokens: int
    reward: float | None = None


class TurnReady(Event, frozen=True, kw_only=True):
    """A trajectory wants its next turn; ``context`` tokens go in, and at most ``limit`` come out.

    ``blocks`` names the whole blocks of 64 tokens that its context has gained since its last turn: a name
    stands for all tokens up to there, so equal names are a common prefix. Empty where none are recorded.
    """

    trajectory: str
    turn: int
    context: int
    limit: int = 0
    blocks: list[str] = []


class TurnHeld(Event, frozen=True, kw_only=True):
    """A ready turn has to wait, for this reason."""

    trajectory: str
    reason: str


class TurnDispatched(Event, frozen=True, kw_only=True):
    """A ready turn goes to an engine, for this reason."""

    trajectory: str
    turn: int
    engine: str
    reason: str


class TurnEnded(Event, frozen=True, kw_only=True):
    """An engine has ended a turn; token counts, seconds, and the versions of the first and last token."""

    trajectory: str
    turn: int
    engine: str
    prompt: int
    cached: int
    generated: int
    preemptions: int
    queue_s: float
    first_token_s: float
    first_version: int
    last_version: int
    finish: str


class TurnAbandoned(Event, frozen=True, kw_only=True):
    """A ready or running turn was given up; its trajectory may live on."""

    trajectory: str
    turn: int


class Parked(Event, frozen=True, kw_only=True):
    """A trajectory between turns no longer counts on its engine, for this reason."""

    trajectory: str
    engine: str
    reason: str


class ToolStarted(Event, frozen=True, kw_only=True):
    """A tool call runs."""

    trajectory: str
    turn: int
    tool: str


class ToolEnded(Event, frozen=True, kw_only=True):
    """A tool call is over."""

    trajectory: str
    turn: int
    tool: str
    status: str


class LoopLate(Event, frozen=True, kw_only=True):
    """The event loop came to its timers this much late: something held it up until ``t``."""

    late_ns: int


class Noted(Event, frozen=True, kw_only=True):
    """A line for whoever reads the record: something that could not be recorded, and why."""

    text: str


class PhaseChanged(Event, frozen=True, kw_only=True):
    """The job around the rollouts is in another phase."""

    phase: Phase
    step: int


class EventSink(Protocol):
    """Takes every event, in order. Must not block."""

    def emit(self, event: Event) -> None:
        """Take one event."""
        ...


class Discard:
    """The sink for those who want no events."""

    def emit(self, event: Event) -> None:
        """Drop it."""
