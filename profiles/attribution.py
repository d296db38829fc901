"""Where every engine's time went: busy, or idle for exactly one cause, in integer nanoseconds.

Between two events an engine has one cause, the first that applies, in the order of ``Cause``:
it is starting, syncing weights or down; it runs a turn (busy); a ready turn waits (for the reason that the
scheduler gave, else it is our own lag); another engine has a queue of its own; a trajectory is in a tool;
others run; agents are at work on their own; the job trains; nothing is live. The order is a convention.

Invariant: the causes of an engine sum to the wall time between its first event and the end, exactly.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from headway.scheduler.events import (
    EngineChanged,
    EngineLoad,
    Event,
    PhaseChanged,
    ToolEnded,
    ToolStarted,
    TrajectoryEnded,
    TrajectoryStarted,
    TurnAbandoned,
    TurnDispatched,
    TurnEnded,
    TurnHeld,
    TurnReady,
)


class Cause(StrEnum):
    """What an engine's time went into; all but ``BUSY`` are idle."""

    STARTUP = "startup"
    WEIGHT_SYNC = "weight_sync"
    DOWN = "down"
    BUSY = "busy"
    KV_FULL = "kv_full"  # a turn is ready, and no engine has the headroom for it
    CAP = "cap"  # a turn is ready, and the policy's cap is reached
    AFFINITY_HOLD = "affinity_hold"  # a turn is ready, and waits for another engine
    BARRIER = "barrier"  # a turn is ready, and the policy lets all take a turn together
    TICK = "tick"  # a turn is ready, and the policy decides at fixed times only
    DISPATCH_LAG = "dispatch_lag"  # a turn is ready, and the scheduler was late
    IMBALANCE = "imbalance"  # another engine queues turns of its own
    TOOL_WAIT = "tool_wait"  # live trajectories are in tools
    LONG_TAIL = "long_tail"  # the last turns run on other engines
    AGENT = "agent"  # live trajectories are in their agents' own code
    TRAINING = "training"  # nothing is live; the trainer makes its step
    NO_WORK = "no_work"  # nothing is live


_LIFECYCLE = {
    "starting": Cause.STARTUP,
    "weight_sync": Cause.WEIGHT_SYNC,
    "down": Cause.DOWN,
    "stopped": Cause.DOWN,
}


@dataclass
class _EngineAccount:
    state: str = "ready"
    running: int = 0
    queued: int = 0
    spent: defaultdict[Cause, int] = field(default_factory=lambda: defaultdict(int))


class Attribution:
    """Takes events in order; ``spent`` says where each engine's time has gone so far."""

    def __init__(self, engines: Iterable[str], start: int) -> None:
        self._engines = {engine: _EngineAccount() for engine in engines}
        self._now = start
        self._start = start
        self._waiting: dict[str, Cause] = {}  # ready turns, by trajectory
        self._on: dict[str, str] = {}  # running turns: trajectory -> engine
        self._live: set[str] = set()
        self._in_tools = 0
        self._phase = "idle"

    @property
    def wall_ns(self) -> int:
        """Time taken into account so far."""
        return self._now - self._start

    def take(self, event: Event) -> None:
        """Account for the time up to an event, then let it change the state."""
        self.advance(event.t)
        self._change(event)

    def advance(self, t: int) -> None:
        """Account for the time up to ``t``."""
        if t > self._now:
            for engine in self._engines.values():
                engine.spent[self._cause(engine)] += t - self._now
            self._now = t

    def spent(self) -> dict[str, dict[Cause, int]]:
        """Nanoseconds by engine and cause; the causes of each engine sum to ``wall_ns``."""
        return {
            id: {c: engine.spent[c] for c in Cause if engine.spent[c]} for id, engine in self._engines.items()
        }

    def _cause(self, engine: _EngineAccount) -> Cause:
        if engine.state in _LIFECYCLE:
            return _LIFECYCLE[engine.state]
        if engine.running:
            return Cause.BUSY
        if self._waiting:
            return next(iter(self._waiting.values()))
        if any(other.queued for other in self._engines.values() if other is not engine):
            return Cause.IMBALANCE
        if self._in_tools:
            return Cause.TOOL_WAIT
        if self._on:
            return Cause.LONG_TAIL
        if self._live:
            return Cause.AGENT
        return Cause.TRAINING if self._phase == "training" else Cause.NO_WORK

    def _change(self, event: Event) -> None:
        match event:
            case EngineChanged():
                self._engines[event.engine].state = event.state
            case EngineLoad():
                self._engines[event.engine].queued = event.waiting
            case TurnReady():
                self._waiting[event.trajectory] = Cause.DISPATCH_LAG
            case TurnHeld():
                self._waiting[event.trajectory] = Cause(event.reason)
            case TurnDispatched():
                self._waiting.pop(event.trajectory, None)
                self._on[event.trajectory] = event.engine
                self._engines[event.engine].running += 1
            case TurnEnded():
                self._leave(event.trajectory)
            case TurnAbandoned():
                self._waiting.pop(event.trajectory, None)
                self._leave(event.trajectory)
            case ToolStarted():
                self._in_tools += 1
            case ToolEnded():
                self._in_tools -= 1
            case TrajectoryStarted():
                self._live.add(event.trajectory)
            case TrajectoryEnded():
                self._live.discard(event.trajectory)
                self._waiting.pop(event.trajectory, None)
                self._leave(event.trajectory)
            case PhaseChanged():
                self._phase = event.phase
            case _:
                pass

    def _leave(self, trajectory: str) -> None:
        engine = self._on.pop(trajectory, None)
        if engine is not None:
            self._engines[engine].running -= 1
