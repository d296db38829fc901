"""ThunderAgent: programs are paused and resumed so that the contexts held on an engine fit its KV cache.

The scheduler of ThunderAgent (github.com/ThunderAgent-org/ThunderAgent, router mode ``tr``, commit
30ae41a and its wiki). A trajectory is a program: reasoning while it has a turn, acting while it is in a
tool.
- An engine is charged the context of each program on it and 100 tokens for its growth.
- A program on an engine sends its turns there at once. A new one is let in at once where nobody is paused
  or queued and it fits, to the engine with the fewest tokens; else it joins the paused ones in one global
  queue.
- Every ``tick_s`` (5 s): first resume, then pause. Resume takes returned, then new, then acting programs,
  each the smallest first, as long as their sum fits what is free on all engines, and packs them best fit
  decreasing: the largest first, each to the engine with most room. A resumed acting program is charged
  before it comes back.
- Pause takes from an engine that is charged more than it has the smallest acting programs, and then marks
  the smallest reasoning ones, which are paused when their turn ends.
With ``tick_s`` = 0 (``thunder_events``) the same happens at every event.
Simplified: contexts are known at turn boundaries only; shared prompts are counted for each program, as
where its correction by metrics is off; a marked program's tokens count as freed, as its documentation
says; the forced resume after 30 minutes is left out; an engine's only program is not paused, and one too
large for the 100 tokens gets an empty engine, so that nothing waits for ever.
"""

import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from headway.errors import InputError

from ..fleet_state import FleetState
from ..policy import Place, Policy, Reason, Wait
from ..trajectory import State, Trajectory
from .placing import able, send

LOOKED_AT = 64  # turns that may wait before one that is resumed


@dataclass(kw_only=True)
class Thunder(Policy):
    """Pause and resume by capacity, shortest first."""

    name: ClassVar[str] = "thunder"
    lookahead: ClassVar[int] = sys.maxsize

    tick_s: float = 5.0
    growth: int = 100  # tokens charged for each program beyond its context

    _resumed: dict[str, str] = field(init=False, repr=False, default_factory=dict)  # engine by trajectory
    _marked: set[str] = field(init=False, repr=False, default_factory=set)
    _queued: set[str] = field(init=False, repr=False, default_factory=set)  # told to wait before
    _ticked: float = field(init=False, repr=False, default=-math.inf)
    _revision: int = field(init=False, repr=False, default=-1)

    def __post_init__(self) -> None:
        if self.tick_s < 0 or self.growth < 0:
            raise InputError("policy thunder: tick_s and growth must not be negative")

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send a program's turn to its engine; let others wait until they are resumed."""
        if trajectory.state is State.HELD and trajectory.home in able(trajectory, fleet.engines, fleet):
            return send(trajectory, trajectory.home)
        if self.tick_s == 0 and fleet.revision != self._revision:
            self._revision = fleet.revision
            self._resume(fleet)
        engine = self._resumed.pop(trajectory.id, None) or self._direct(trajectory, fleet)
        if engine is not None and engine in able(trajectory, fleet.engines, fleet):
            self._queued.discard(trajectory.id)
            return send(trajectory, engine)
        self._queued.add(trajectory.id)
        reason = Reason.TICK if self.tick_s and self._fits(trajectory, fleet) else Reason.KV_FULL
        return Wait(reason, blocks=not any(t.id in self._resumed for t in _first(fleet)))

    def rank(self, trajectory: Trajectory, fleet: FleetState) -> Any:
        """What is resumed already, then returned before new, each the smallest first."""
        return trajectory.id not in self._resumed, trajectory.state is State.NEW, trajectory.context

    def park(self, engine: str, fleet: FleetState) -> Sequence[Trajectory]:
        """Pause a marked program whose turn has ended; without a tick, pause until all fits."""
        if self.tick_s == 0:
            return self._pause(engine, fleet)
        victims = [t for t in fleet.in_tools(engine) if t.id in self._marked] if self._marked else []
        self._marked.difference_update(t.id for t in victims)
        return victims

    def ended(self, trajectory: Trajectory, fleet: FleetState) -> None:
        """Forget the program."""
        self._resumed.pop(trajectory.id, None)
        self._marked.discard(trajectory.id)
        self._queued.discard(trajectory.id)

    def wake_at(self, fleet: FleetState) -> float | None:
        """The next tick, while anything is live."""
        if self.tick_s == 0 or not fleet.live:
            return None
        if not math.isfinite(self._ticked):
            self._ticked = fleet.now
        return max(self._ticked + self.tick_s, fleet.now)

    def wake(self, fleet: FleetState) -> Sequence[Trajectory]:
        """Tick: resume what fits, then pause where it is too much."""
        at = self.wake_at(fleet)
        if at is None or fleet.now < at:
            return ()
        self._ticked = fleet.now
        self._resume(fleet)
        return [victim for engine in fleet.engines for victim in self._pause(engine, fleet)]

    def _direct(self, trajectory: Trajectory, fleet: FleetState) -> str | None:
        """The engine for a program that has just come and finds nobody paused or queued."""
        if trajectory.state is not State.NEW or trajectory.id in self._queued or len(fleet.waiting) > 1:
            return None
        if any(t.state is State.PARKED and t.id not in self._resumed for t in fleet.trajectories.values()):
            return None
        free = self._free(fleet)
        fitting = [e for e in free if trajectory.context + self.growth <= free[e] or not fleet.counted(e)]
        return max(fitting, key=lambda e: free[e] - fleet.capacity(e)) if fitting else None

    def _fits(self, trajectory: Trajectory, fleet: FleetState) -> bool:
        return trajectory.context + self.growth <= max(self._free(fleet).values(), default=0)

    def _free(self, fleet: FleetState) -> dict[str, int]:
        """What is left of each engine's capacity after all that it is charged."""
        free = {engine: fleet.capacity(engine) - self._charge(engine, fleet) for engine in fleet.engines}
        for id, engine in self._resumed.items():
            if engine in free:
                free[engine] -= fleet.trajectories[id].context + self.growth
        return free

    def _charge(self, engine: str, fleet: FleetState) -> int:
        return sum(t.context + self.growth for t in fleet.held(engine))

    def _resume(self, fleet: FleetState) -> None:
        """Give engines to as many paused programs as fit."""
        for trajectory in fleet.waiting:
            self._resumed.pop(trajectory.id, None)  # not taken up since the last time: decide afresh
        free = self._free(fleet)
        for trajectory in sorted(self._select(free, fleet), key=lambda t: -t.context):
            engines = able(trajectory, list(free), fleet)
            if not engines:
                continue  # in a tool, and with the limit of its last turn too large for any
            engine = max(engines, key=lambda engine: free[engine])
            if trajectory.context + self.growth <= free[engine]:
                self._resumed[trajectory.id] = engine
                free[engine] -= trajectory.context + self.growth
        if not any(t.id in self._resumed for t in _first(fleet)):
            self._resume_onto_an_empty_engine(fleet)

    def _select(self, free: dict[str, int], fleet: FleetState) -> list[Trajectory]:
        """Programs in the order of their right to resume, as long as they fit all that is free together."""
        room = sum(tokens for tokens in free.values() if tokens > self.growth)
        acting = [
            t for t in fleet.trajectories.values() if t.state is State.PARKED and t.id not in self._resumed
        ]
        selected: list[Trajectory] = []
        for trajectory in [*fleet.waiting, *sorted(acting, key=lambda t: t.context)]:
            if trajectory.context + self.growth <= room:
                room -= trajectory.context + self.growth
                selected.append(trajectory)
        return selected

    def _resume_onto_an_empty_engine(self, fleet: FleetState) -> None:
        empty = [engine for engine in fleet.engines if not fleet.counted(engine)]
        for trajectory in _first(fleet):
            engines = able(trajectory, empty, fleet)
            if engines:
                self._resumed[trajectory.id] = engines[0]
                return

    def _pause(self, engine: str, fleet: FleetState) -> list[Trajectory]:
        """Name acting programs to pause now, and mark reasoning ones, until the engine's charge fits."""
        excess = self._charge(engine, fleet) - fleet.capacity(engine)
        held = sorted(fleet.held(engine), key=lambda t: t.context)
        excess -= sum(t.context + self.growth for t in held if t.id in self._marked)
        victims: list[Trajectory] = []
        for trajectory in (t for t in held if t.state is State.HELD):
            if trajectory.id in self._marked or (excess > 0 and len(victims) + 1 < len(held)):
                excess -= 0 if trajectory.id in self._marked else trajectory.context + self.growth
                self._marked.discard(trajectory.id)
                victims.append(trajectory)
        for trajectory in (t for t in held if t.state is State.RUNNING and t.id not in self._marked):
            if excess > 0 and len(held) - len(victims) > 1:
                self._marked.add(trajectory.id)
                excess -= trajectory.context + self.growth
        return victims


@dataclass(kw_only=True)
class ThunderEvents(Thunder):
    """The same rule at every event."""

    name: ClassVar[str] = "thunder_events"

    tick_s: float = 0.0


def _first(fleet: FleetState) -> Iterator[Trajectory]:
    """The turns at the head of the queue."""
    return itertools.islice(fleet.waiting, LOOKED_AT)
