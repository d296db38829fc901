"""What each trajectory of a recorded run did, collected from its events in one pass.

Invariants: a turn that was abandoned and made ready again is one turn, which was ready when it first was and
has the context that it ran with; a trajectory that lived while events are missing is marked, since its turns
may be among them. Holds whole turns and no events. Knows nothing of files or workloads.
"""

from dataclasses import dataclass, field

import msgspec

from headway.scheduler.events import (
    EngineChanged,
    EngineStarted,
    Event,
    TrajectoryEnded,
    TrajectoryStarted,
    TurnEnded,
    TurnReady,
)

from ..found_events import Gap
from .prefix import common


class TakenTurn(msgspec.Struct, frozen=True):
    """A turn that ended; times in nanoseconds."""

    ready: int
    ended: int
    context: int
    generated: int
    cached: int
    preemptions: int


@dataclass
class Trajectory:
    """One trajectory. ``order`` and ``end_order`` say which event came first where times are equal."""

    id: str
    group: str
    order: int
    start: int
    turns: list[TakenTurn] = field(default_factory=list)
    end: int | None = None
    end_order: int = 0
    first_turn: int | None = None  # its number: not 0 where it goes on from an earlier attempt
    damaged: bool = False
    ready: tuple[int, int, int] | None = None  # of the turn that has not ended: number, time, context


class Trajectories:
    """Takes events in order. ``all`` has the trajectories by id, in the order in which they began."""

    def __init__(self) -> None:
        self.all: dict[str, Trajectory] = {}
        self.engines: dict[str, EngineStarted] = {}
        self.engine_ids: dict[str, None] = {}
        self.common_blocks: list[str] | None = None  # of all first prompts; None until there is one
        self.weights_changed = False
        self.turn_limit = 0  # the most that any turn was allowed
        self._live: dict[str, Trajectory] = {}
        self._blind_until = -1
        self._order = 0

    def emit(self, event: Event) -> None:
        """Take one event; those of trajectories that never began are left out."""
        self._order += 1
        match event:
            case TrajectoryStarted():
                self._start(event)
            case TurnReady():
                self._ready(event)
            case TurnEnded():
                self._end_turn(event)
            case TrajectoryEnded():
                ended = self._live.pop(event.trajectory, None)
                if ended is not None:
                    ended.end, ended.end_order = event.t, self._order
            case EngineStarted():
                self.engines[event.engine] = event
                self.engine_ids[event.engine] = None
            case EngineChanged():
                self.engine_ids[event.engine] = None
                self.weights_changed |= event.state == "weight_sync"
            case Gap():
                self._blind_until = max(self._blind_until, event.until)
                for trajectory in self._live.values():
                    trajectory.damaged = True
            case _:
                pass

    def _start(self, event: TrajectoryStarted) -> None:
        began = Trajectory(event.trajectory, event.group, self._order, event.t)
        began.damaged = event.t <= self._blind_until
        self.all[began.id] = self._live[began.id] = began

    def _ready(self, event: TurnReady) -> None:
        trajectory = self._live.get(event.trajectory)
        if trajectory is None:
            return
        self.turn_limit = max(self.turn_limit, event.limit)
        if trajectory.first_turn is None:
            trajectory.first_turn = event.turn
            known = self.common_blocks if self.common_blocks is not None else event.blocks
            self.common_blocks = known[: common(known, event.blocks)]
        before = trajectory.ready
        since = before[1] if before is not None and before[0] == event.turn else event.t
        trajectory.ready = (event.turn, since, event.context)

    def _end_turn(self, event: TurnEnded) -> None:
        self.engine_ids[event.engine] = None
        trajectory = self._live.get(event.trajectory)
        if trajectory is None:
            return
        if trajectory.ready is None or trajectory.ready[0] != event.turn:
            trajectory.damaged = True
            return
        _, since, context = trajectory.ready
        trajectory.ready = None
        trajectory.turns.append(
            TakenTurn(since, event.t, context, event.generated, event.cached, event.preemptions)
        )
