"""The decision core: events in, decisions out. Synchronous and deterministic: time plays no part.

Invariants:
- every ready turn is placed exactly once or its trajectory ends;
- warm turns go at once, then returned work in the order it came back, then new work in the order it came;
  the first turn that has to wait holds back those behind it, so nothing starves;
- the ledger counts exactly the trajectories that are running or held.
Knows nothing of asyncio, engines, tokens, text or clocks.
"""

import contextlib
from collections import deque
from collections.abc import Mapping

import msgspec

from .forecast import GrowthForecast
from .ledger import Capacity, KvLedger
from .policy import FleetState, Place, Policy, Reason, Wait
from .trajectory import State, Trajectory


class Dispatch(msgspec.Struct, frozen=True):
    """Run the trajectory's ready turn on the engine."""

    trajectory: str
    engine: str
    reason: Reason


class Hold(msgspec.Struct, frozen=True):
    """The trajectory's ready turn has to wait, for this reason; said on arrival and if the reason changes."""

    trajectory: str
    reason: Reason


class Park(msgspec.Struct, frozen=True):
    """The trajectory's KV is no longer counted on the engine; its next turn is admitted afresh."""

    trajectory: str
    engine: str


class Refuse(msgspec.Struct, frozen=True):
    """The turn can never fit on any engine: ``needed`` tokens, where the largest cache has ``available``."""

    trajectory: str
    needed: int
    available: int


Decision = Dispatch | Hold | Park | Refuse


class Dispatcher:
    """Holds every live trajectory's account and asks the policy where ready turns go."""

    def __init__(self, capacities: Mapping[str, Capacity], policy: Policy) -> None:
        self._policy = policy
        self._trajectories: dict[str, Trajectory] = {}
        self._returned: deque[Trajectory] = deque()
        self._new: deque[Trajectory] = deque()
        self._held_back: Reason | None = None  # why the head of the queue waits
        self._placements = 0
        self._last_placed: dict[str, int] = {}
        self._running: dict[str, set[str]] = {engine: set() for engine in capacities}
        self._largest = max(capacity.blocks * capacity.block_size for capacity in capacities.values())
        self.fleet = FleetState(
            ledger=KvLedger(capacities),
            forecast=GrowthForecast(),
            trajectories=self._trajectories,
            running=self._running,
            last_placed=self._last_placed,
        )

    def turn_ready(
        self, id: str, *, group: str, prompt: int, context: int, turn_limit: int
    ) -> list[Decision]:
        """Take in that a trajectory wants its next turn (its first makes it known)."""
        trajectory = self._trajectories.get(id)
        if trajectory is None:
            trajectory = Trajectory(id=id, group=group, prompt=prompt, context=context, turn_limit=turn_limit)
            self._trajectories[id] = trajectory
        trajectory.context, trajectory.turn_limit = context, turn_limit
        if context + turn_limit > self._largest:
            self.ended(id, failed=True)
            return [Refuse(id, context + turn_limit, self._largest)]
        if trajectory.state is State.HELD:
            self.fleet.ledger.grow(id, context)
            placement = self._policy.place(trajectory, self.fleet)
            if not isinstance(placement, Place) or placement.engine != trajectory.home:
                raise ValueError(f"policy {self._policy.name}: a warm turn must go home, got {placement}")
            return [self._dispatch(trajectory, placement), *self._park(placement.engine)]
        if trajectory.state is State.PARKED:
            trajectory.move(State.RETURNED)
            self._returned.append(trajectory)
        else:
            self._new.append(trajectory)
        return self._admit(arrived=trajectory)

    def turn_ended(self, id: str, *, context: int) -> list[Decision]:
        """Take in that the running turn of a trajectory ended and left it with ``context`` tokens."""
        trajectory = self._trajectories[id]
        engine = trajectory.home
        assert engine is not None
        self._running[engine].discard(id)
        self.fleet.forecast.learn(trajectory.turn, context - trajectory.boundary)
        trajectory.move(State.HELD)
        trajectory.turn += 1
        trajectory.context = trajectory.boundary = context
        self.fleet.ledger.grow(id, context)
        return [*self._park(engine), *self._admit()]

    def ended(self, id: str, *, failed: bool) -> list[Decision]:
        """Take in that a trajectory is over; what it held is free again. One not known is ignored."""
        trajectory = self._trajectories.pop(id, None)
        if trajectory is None:
            return []
        for queue in (self._returned, self._new):
            with contextlib.suppress(ValueError):
                queue.remove(trajectory)
        if trajectory.home is not None:
            self._running[trajectory.home].discard(id)
        self.fleet.ledger.release(id)
        trajectory.move(State.FAILED if failed else State.FINISHED)
        return self._admit()

    def caches_dropped(self) -> list[Decision]:
        """Take in that the engines' cached KV is gone (new weights): everything held is placed afresh."""
        held = [t for t in self._trajectories.values() if t.state is State.HELD]
        return [*(self._give_up(trajectory) for trajectory in held), *self._admit()]

    def _admit(self, arrived: Trajectory | None = None) -> list[Decision]:
        """Place queued turns in order until one has to wait; ``arrived`` is told if it waits."""
        decisions: list[Decision] = []
        for queue in (self._returned, self._new):
            while queue:
                placement = self._policy.place(queue[0], self.fleet)
                if isinstance(placement, Wait):
                    return decisions + self._wait(queue[0], placement.reason, arrived)
                decisions.append(self._dispatch(queue.popleft(), placement))
        return decisions

    def _wait(self, head: Trajectory, reason: Reason, arrived: Trajectory | None) -> list[Decision]:
        told = [] if reason == self._held_back or head is arrived else [head]
        self._held_back = reason
        if arrived is not None and not arrived.is_counted:
            told.append(arrived)
        return [Hold(trajectory.id, reason) for trajectory in told]

    def _dispatch(self, trajectory: Trajectory, placement: Place) -> Dispatch:
        if trajectory.state is not State.HELD:
            self.fleet.ledger.hold(
                placement.engine,
                trajectory.id,
                trajectory.group,
                prompt=trajectory.prompt,
                context=trajectory.context,
            )
        trajectory.home = placement.engine
        trajectory.move(State.RUNNING)
        self._running[placement.engine].add(trajectory.id)
        self._placements += 1
        self._last_placed[placement.engine] = self._placements
        return Dispatch(trajectory.id, placement.engine, placement.reason)

    def _park(self, engine: str) -> list[Decision]:
        return [self._give_up(victim) for victim in self._policy.park(engine, self.fleet)]

    def _give_up(self, trajectory: Trajectory) -> Park:
        engine = self.fleet.ledger.engine_of(trajectory.id)
        assert engine is not None
        self.fleet.ledger.release(trajectory.id)
        trajectory.move(State.PARKED)
        return Park(trajectory.id, engine)

    @property
    def live(self) -> int:
        """Trajectories that are known and not over."""
        return len(self._trajectories)
