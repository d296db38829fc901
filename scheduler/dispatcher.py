"""The decision core: events in, decisions out. Synchronous and deterministic: time plays no part.

Invariants:
- every ready turn is placed exactly once, unless it is abandoned, refused or its trajectory ends;
- warm turns go at once, then returned work in the order it came back, then new work in the order it came;
  the first turn that has to wait holds back those behind it, so nothing starves;
- the ledger counts exactly the trajectories that are running or held.
Knows nothing of asyncio, engines, tokens, text or clocks.
"""

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence

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
    """The turn can never run: it needs ``needed`` tokens, and the largest living engine has ``available``.

    The trajectory is known no more.
    """

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
        self._capacities = dict(capacities)
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
        elif self._has_turn(trajectory):
            raise RuntimeError(f"trajectory {id} wants a turn while it has one ({trajectory.state})")
        trajectory.context, trajectory.turn_limit = context, turn_limit
        if context + turn_limit > self._largest:
            return [*self._refuse([trajectory]), *self._admit()]
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
        self.fleet.forecast.learn(trajectory.turn, context - trajectory.boundary)
        trajectory.move(State.HELD)
        trajectory.turn += 1
        trajectory.context = trajectory.boundary = context
        self.fleet.ledger.grow(id, context)
        if engine not in self._running:  # lost since, though the turn ended well
            return [self._give_up(trajectory), *self._admit()]
        self._running[engine].discard(id)
        return [*self._park(engine), *self._admit()]

    def turn_abandoned(self, id: str) -> list[Decision]:
        """Take in that a ready or running turn is given up while its trajectory lives on."""
        trajectory = self._trajectories.get(id)
        if trajectory is None:
            return []
        if trajectory.state in (State.RUNNING, State.RETURNED):
            self._withdraw(trajectory)
            trajectory.move(State.PARKED)
        elif trajectory.state is State.NEW:
            self._withdraw(trajectory)
        return self._admit()

    def ended(self, id: str, *, failed: bool) -> list[Decision]:
        """Take in that a trajectory is over; what it held is free again. One not known is ignored."""
        trajectory = self._trajectories.get(id)
        if trajectory is None:
            return []
        self._end(trajectory, State.FAILED if failed else State.FINISHED)
        return self._admit()

    def caches_dropped(self) -> list[Decision]:
        """Take in that the engines' cached KV is gone (new weights): everything held is placed afresh."""
        parked = self._park_all(list(self._running))
        for trajectory in self._trajectories.values():
            if trajectory.state is not State.RUNNING:
                trajectory.home = None
        return [*parked, *self._admit()]

    def engine_lost(self, engine: str) -> list[Decision]:
        """Take in that an engine is gone: nothing is placed there any more, what it held is placed afresh.

        Its running turns end one by one, as abandoned.
        """
        if engine not in self._running:
            return []
        parked = self._park_all([engine])
        del self._running[engine], self._capacities[engine]
        for trajectory in self._trajectories.values():
            if trajectory.home == engine and trajectory.state is not State.RUNNING:
                trajectory.home = None
        queued = [*self._returned, *self._new]
        refused = self._refuse([t for t in queued if t.context + t.turn_limit > self._largest])
        return [*parked, *refused, *self._admit()]

    @property
    def _largest(self) -> int:
        """Tokens of the largest KV cache among the living engines."""
        return max((c.blocks * c.block_size for c in self._capacities.values()), default=0)

    def _refuse(self, trajectories: Sequence[Trajectory]) -> list[Decision]:
        for trajectory in trajectories:
            self._end(trajectory, State.FAILED)
        return [Refuse(t.id, t.context + t.turn_limit, self._largest) for t in trajectories]

    def _end(self, trajectory: Trajectory, state: State) -> None:
        del self._trajectories[trajectory.id]
        self._withdraw(trajectory)
        trajectory.move(state)

    def _withdraw(self, trajectory: Trajectory) -> None:
        """Take a trajectory out of the queues, off its engine and out of the ledger."""
        if trajectory.state in (State.NEW, State.RETURNED):
            for queue in (self._returned, self._new):
                with contextlib.suppress(ValueError):
                    queue.remove(trajectory)
        if trajectory.home in self._running:
            self._running[trajectory.home].discard(trajectory.id)
        else:
            trajectory.home = None
        self.fleet.ledger.release(trajectory.id)

    def _has_turn(self, trajectory: Trajectory) -> bool:
        """Whether a turn of the trajectory is queued or running."""
        if trajectory.state is State.NEW:
            return trajectory in self._new
        return trajectory.state in (State.RETURNED, State.RUNNING)

    def _park_all(self, engines: Sequence[str]) -> list[Decision]:
        held = [t for t in self._trajectories.values() if t.state is State.HELD and t.home in engines]
        return [self._give_up(trajectory) for trajectory in held]

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
        if placement.reason is Reason.NEW:
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
        if engine not in self._running:
            trajectory.home = None
        return Park(trajectory.id, engine)

    @property
    def live(self) -> int:
        """Trajectories that are known and not over."""
        return len(self._trajectories)
