"""What a fleet and its trajectories are doing at the moment, as far as events have said.

Invariants: any sequence of events is taken, also one with gaps: what contradicts the state replaces it, and
an engine that is named for the first time has joined the fleet.
Knows nothing of time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

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

from .cause import LIFECYCLE, Cause
from .found_events import Recomputing, Vanished

_CAUSES = {str(cause): cause for cause in Cause}


@dataclass
class EngineActivity:
    """One engine: the turns that are on it, those of them that recompute, and the length of its own queue."""

    id: str
    state: str = "ready"
    turns: set[str] = field(default_factory=set)
    recomputing: set[str] = field(default_factory=set)
    queued: int = 0
    blind: bool = False  # events are missing

    @property
    def cause(self) -> Cause | None:
        """What its time goes into; None where it is idle for reasons that lie elsewhere."""
        if self.blind:
            return Cause.UNATTRIBUTED
        if self.state in LIFECYCLE:
            return LIFECYCLE[self.state]
        if not self.turns:
            return None
        recomputes = self.recomputing and len(self.recomputing) + self.queued >= len(self.turns)
        return Cause.BUSY_RECOMPUTE if recomputes else Cause.BUSY


class Standstill(msgspec.Struct, frozen=True):
    """Why an idle engine is idle: the first rule that applies, the next one, and how many trajectories the
    first keeps away, next to those that run."""

    cause: Cause
    otherwise: Cause
    away: int
    running: int


class Activity:
    """Takes events in order."""

    def __init__(self, engines: Iterable[str]) -> None:
        self.engines = {engine: EngineActivity(engine) for engine in engines}
        self.waiting: set[str] = set()  # trajectories whose turns are ready
        self.on: dict[str, EngineActivity] = {}  # running turns, by trajectory
        self.tools: dict[str, int] = {}  # calls under way, by trajectory
        self.live: set[str] = set()
        self.phase = "idle"
        self.held: Cause | None = None  # what the scheduler said last of why ready turns wait
        self._occupied = 0  # engines with turns
        self._queues = 0
        self._moving = 0  # running turns on engines that are not stalled

    def standstill(self) -> Standstill:
        """Why the engines that are idle are so."""
        causes: list[tuple[Cause, int]] = []
        if self.waiting:
            causes.append((self.held or Cause.DISPATCH_LAG, len(self.waiting)))
        if self._queues and self._occupied < len(self.engines):
            causes.append((Cause.IMBALANCE, self._queues))
        if self.tools:
            causes.append((Cause.TOOL_WAIT, len(self.tools)))
        if self.on:
            causes.append((Cause.LONG_TAIL if self._moving else Cause.STALLED, 0))
        if (agents := len(self.live) - len(self.waiting) - len(self.on) - len(self.tools)) > 0:
            causes.append((Cause.AGENT, agents))
        causes.append((Cause.TRAINING if self.phase == "training" else Cause.NO_WORK, 0))
        cause, away = causes[0]
        running = len(self.on) - (self._queues if cause is Cause.IMBALANCE else 0)
        return Standstill(cause, causes[min(1, len(causes) - 1)][0], away, running)

    def take(self, event: Event) -> Sequence[EngineActivity]:
        """Let an event change the state; gives the engines that it changed."""
        match event:
            case TurnReady():
                left = self._leave(event.trajectory)
                self.waiting.add(event.trajectory)
                return left
            case TurnHeld():
                self.waiting.add(event.trajectory)
                self.held = _CAUSES.get(event.reason, Cause.HELD)
            case TurnDispatched():
                self._wait_no_more(event.trajectory)
                left = self._leave(event.trajectory)
                return [*left, self._join(event.trajectory, event.engine)]
            case TurnEnded():
                return self._leave(event.trajectory)
            case TurnAbandoned():
                self._wait_no_more(event.trajectory)
                return self._leave(event.trajectory)
            case ToolStarted():
                self.tools[event.trajectory] = self.tools.get(event.trajectory, 0) + 1
            case ToolEnded():
                self._end_tool(event.trajectory)
            case TrajectoryStarted():
                self.live.add(event.trajectory)
            case TrajectoryEnded():
                return self._end(event.trajectory)
            case Vanished():
                left = self._end(event.trajectory)
                if event.live:
                    self.live.add(event.trajectory)
                return left
            case EngineLoad():
                return [self._load(event)]
            case EngineChanged():
                return [self._change(event)]
            case Recomputing():
                return [self._recompute(event)]
            case PhaseChanged():
                self.phase = event.phase
            case _:
                pass
        return ()

    def lose_sight(self) -> None:
        """Events are missing from here on."""
        for engine in self.engines.values():
            engine.blind = True

    def see_again(self) -> None:
        """Events are complete again; an engine whose change of state may be missing counts as ready."""
        for engine in self.engines.values():
            engine.blind = False
            if engine.state in ("starting", "weight_sync", "stalled"):
                self._change(EngineChanged(t=0, engine=engine.id, state="ready"))

    def _engine(self, id: str) -> EngineActivity:
        return self.engines.setdefault(id, EngineActivity(id))

    def _join(self, trajectory: str, id: str) -> EngineActivity:
        engine = self._engine(id)
        self._occupied += not engine.turns
        engine.turns.add(trajectory)
        self.on[trajectory] = engine
        self._moving += engine.state != "stalled"
        return engine

    def _leave(self, trajectory: str) -> Sequence[EngineActivity]:
        engine = self.on.pop(trajectory, None)
        if engine is None:
            return ()
        engine.turns.discard(trajectory)
        engine.recomputing.discard(trajectory)
        self._moving -= engine.state != "stalled"
        if not engine.turns:
            self._occupied -= 1
            self._queues -= engine.queued
            engine.queued = 0
        return (engine,)

    def _wait_no_more(self, trajectory: str) -> None:
        self.waiting.discard(trajectory)
        if not self.waiting:
            self.held = None

    def _end_tool(self, trajectory: str) -> None:
        calls = self.tools.get(trajectory, 0) - 1
        if calls > 0:
            self.tools[trajectory] = calls
        else:
            self.tools.pop(trajectory, None)

    def _end(self, trajectory: str) -> Sequence[EngineActivity]:
        self.live.discard(trajectory)
        self._wait_no_more(trajectory)
        self.tools.pop(trajectory, None)
        return self._leave(trajectory)

    def _load(self, event: EngineLoad) -> EngineActivity:
        engine = self._engine(event.engine)
        queued = event.waiting if engine.turns else 0
        self._queues += queued - engine.queued
        engine.queued = queued
        return engine

    def _change(self, event: EngineChanged) -> EngineActivity:
        engine = self._engine(event.engine)
        moving = engine.state != "stalled"
        engine.state = event.state
        self._moving += len(engine.turns) * ((engine.state != "stalled") - moving)
        return engine

    def _recompute(self, event: Recomputing) -> EngineActivity:
        engine = self._engine(event.engine)
        if event.on and event.trajectory in engine.turns:
            engine.recomputing.add(event.trajectory)
        else:
            engine.recomputing.discard(event.trajectory)
        return engine
