"""The decision core: events in, decisions out. Synchronous and deterministic; the clock is passed in.

Invariants:
- every ready turn is placed exactly once, unless it is abandoned, refused or its trajectory ends;
- turns that wait are looked at in the order of their rank, and one that blocks holds back all behind it;
- the ledger counts exactly the trajectories that are running or held.
Knows nothing of asyncio, tokens or text, and of engines only the figures that they report.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence

import msgspec

from headway.engine import EngineStats

from .fleet_state import FleetState
from .ledger import Capacity, Segment
from .policy import ParkReason, Place, Policy, Reason, Wait
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
    reason: ParkReason


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

    def __init__(
        self,
        capacities: Mapping[str, Capacity],
        policy: Policy,
        *,
        clock: Callable[[], float] = lambda: 0.0,
        max_context: int = 1 << 15,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._held_back: Reason | None = None  # why the head of the queue waits
        self._arrivals = itertools.count()
        self.fleet = FleetState(capacities, max_context=max_context)

    def turn_ready(
        self,
        id: str,
        *,
        group: str,
        prompt: int,
        context: int,
        turn_limit: int,
        shared: tuple[Segment, ...] | None = None,
    ) -> list[Decision]:
        """Take in that a trajectory wants its next turn (its first makes it known).

        ``shared`` says what its context begins with that others may share; None: the prompt, with its group.
        """
        fleet = self._note()
        trajectory = fleet.trajectories.get(id)
        if trajectory is None:
            trajectory = Trajectory(
                id=id,
                group=group,
                prompt=prompt,
                context=context,
                turn_limit=turn_limit,
                shared=(Segment(group, prompt),) if shared is None else shared,
                arrival=next(self._arrivals),
                since=fleet.now,
            )
            fleet.trajectories[id] = trajectory
        elif trajectory.state is State.RUNNING or trajectory in fleet.waiting:
            raise RuntimeError(f"trajectory {id} wants a turn while it has one ({trajectory.state})")
        trajectory.context, trajectory.turn_limit = context, turn_limit
        if trajectory.ended is not None:
            fleet.tools.learn(fleet.now - trajectory.ended)
            trajectory.ended = None
        if context + turn_limit > fleet.capacities.max():
            return [*self._refuse([trajectory]), *self._admit()]
        if trajectory.state is State.HELD:
            return self._resume(trajectory)
        if trajectory.state is State.PARKED:
            trajectory.move(State.RETURNED, fleet.now)
        return self._queue(trajectory)

    def turn_ended(
        self, id: str, *, context: int, preemptions: int = 0, stats: EngineStats | None = None
    ) -> list[Decision]:
        """Take in that the running turn of a trajectory ended and left it with ``context`` tokens.

        ``stats`` is what its engine says of itself now.
        """
        fleet = self._note()
        trajectory = fleet.trajectories[id]
        engine = trajectory.home
        assert engine is not None
        fleet.forecast.learn(
            trajectory.turn,
            context - trajectory.boundary,
            group=trajectory.group,
            generated=context - trajectory.context,
            seconds=fleet.now - trajectory.dispatched,
        )
        fleet.leave(trajectory)
        trajectory.turn += 1
        trajectory.context = trajectory.boundary = context
        trajectory.move(State.HELD, fleet.now)
        trajectory.ended = fleet.now
        if not fleet.is_alive(engine):  # lost since, though the turn ended well
            return [self._give_up(trajectory, ParkReason.ENGINE_LOST), *self._admit()]
        fleet.grow(trajectory)
        fleet.rest(trajectory)
        if stats is not None:
            fleet.report(engine, stats)
        self._policy.held(trajectory, fleet, preemptions)
        return [*self._park(engine), *self._admit()]

    def turn_abandoned(self, id: str) -> list[Decision]:
        """Take in that a ready or running turn is given up while its trajectory lives on."""
        fleet = self._note()
        trajectory = fleet.trajectories.get(id)
        if trajectory is None:
            return []
        self._withdraw(trajectory)
        if trajectory.state in (State.RUNNING, State.HELD, State.RETURNED):
            trajectory.move(State.PARKED, fleet.now)
        return self._admit()

    def ended(self, id: str, *, failed: bool) -> list[Decision]:
        """Take in that a trajectory is over; what it held is free again. One not known is ignored."""
        fleet = self._note()
        trajectory = fleet.trajectories.get(id)
        if trajectory is None:
            return []
        self._end(trajectory, State.FAILED if failed else State.FINISHED)
        return self._admit()

    def caches_dropped(self) -> list[Decision]:
        """Take in that the engines' cached KV is gone (new weights): everything held is placed afresh."""
        fleet = self._note()
        parked = [
            self._give_up(t, ParkReason.NEW_WEIGHTS)
            for engine in fleet.engines
            for t in fleet.in_tools(engine)
        ]
        for trajectory in fleet.trajectories.values():
            if trajectory.state is not State.RUNNING:
                trajectory.home = None
        for trajectory in list(fleet.waiting):
            rank = self._policy.rank(trajectory, fleet)
            fleet.waiting.discard(trajectory)
            fleet.waiting.add(trajectory, rank)
        return [*parked, *self._admit()]

    def engine_lost(self, engine: str) -> list[Decision]:
        """Take in that an engine is gone: nothing is placed there any more, what it held is placed afresh.

        Its running turns end one by one, as abandoned.
        """
        fleet = self._note()
        if not fleet.is_alive(engine):
            return []
        parked = [self._give_up(t, ParkReason.ENGINE_LOST) for t in fleet.in_tools(engine)]
        fleet.lose(engine)
        for trajectory in fleet.trajectories.values():
            if trajectory.home == engine and trajectory.state is not State.RUNNING:
                trajectory.home = None
        largest = fleet.capacities.max()
        refused = self._refuse([t for t in fleet.waiting if t.context + t.turn_limit > largest])
        return [*parked, *refused, *self._admit()]

    def wake_at(self) -> float | None:
        """When ``wake`` is to be called, on the clock's time; None: not before the next event."""
        at = self._policy.wake_at(self.fleet)
        return None if at is None else float(at)  # policies compute with numpy, whose floats are no JSON

    def wake(self) -> list[Decision]:
        """Let the policy act on the passing of time alone."""
        fleet = self._note()
        parked = [self._give_up(t, ParkReason.TIMER) for t in self._policy.wake(fleet)]
        return [*parked, *self._admit()]

    @property
    def live(self) -> int:
        """Trajectories that are known and not over."""
        return self.fleet.live

    def _note(self) -> FleetState:
        """The fleet at the moment of an event."""
        self.fleet.now = self._clock()
        self.fleet.revision += 1
        return self.fleet

    def _resume(self, trajectory: Trajectory) -> list[Decision]:
        """Place a turn whose KV is still counted on its home."""
        fleet = self.fleet
        fleet.grow(trajectory)
        placement = self._policy.place(trajectory, fleet)
        if isinstance(placement, Place) and placement.engine == trajectory.home:
            return [self._dispatch(trajectory, placement), *self._park(placement.engine)]
        moves = isinstance(placement, Place)
        parked = self._give_up(trajectory, ParkReason.MOVED if moves else ParkReason.WAITS)
        trajectory.move(State.RETURNED, fleet.now)
        if isinstance(placement, Place):
            return [parked, self._dispatch(trajectory, placement), *self._admit()]
        return [parked, *self._queue(trajectory)]

    def _queue(self, trajectory: Trajectory) -> list[Decision]:
        self.fleet.waiting.add(trajectory, self._policy.rank(trajectory, self.fleet))
        return self._admit(arrived=trajectory)

    def _admit(self, arrived: Trajectory | None = None) -> list[Decision]:
        """Place queued turns in order, until one blocks; ``arrived`` is told if it waits."""
        decisions: list[Decision] = []
        reasons: list[Reason] = []
        queue = self.fleet.waiting
        while len(reasons) < min(len(queue), self._policy.lookahead):
            trajectory = queue.at(len(reasons))
            placement = self._policy.place(trajectory, self.fleet)
            if isinstance(placement, Wait):
                reasons.append(placement.reason)
                if placement.blocks:
                    break
            else:
                queue.discard(trajectory)
                decisions.append(self._dispatch(trajectory, placement))
        return decisions + self._tell(reasons[0], arrived) if reasons else decisions

    def _tell(self, reason: Reason, arrived: Trajectory | None) -> list[Decision]:
        """Say why the head of the queue waits, where that is news, and so does what has just arrived."""
        head = self.fleet.waiting.at(0)
        told = [] if reason == self._held_back or head is arrived else [head]
        self._held_back = reason
        if arrived is not None and arrived in self.fleet.waiting:
            told.append(arrived)
        return [Hold(trajectory.id, reason) for trajectory in told]

    def _dispatch(self, trajectory: Trajectory, placement: Place) -> Dispatch:
        fleet = self.fleet
        is_new = trajectory.state is State.NEW
        trajectory.move(State.RUNNING, fleet.now)
        if fleet.ledger.engine_of(trajectory.id) is None:
            fleet.count(trajectory, placement.engine)
        fleet.run(trajectory, is_new=is_new)
        return Dispatch(trajectory.id, placement.engine, placement.reason)

    def _park(self, engine: str) -> list[Decision]:
        return [self._give_up(t, ParkReason.FULL) for t in self._policy.park(engine, self.fleet)]

    def _give_up(self, trajectory: Trajectory, reason: ParkReason) -> Decision:
        engine = self.fleet.ledger.engine_of(trajectory.id)
        assert engine is not None
        self.fleet.uncount(trajectory)
        trajectory.move(State.PARKED, self.fleet.now)
        return Park(trajectory.id, engine, reason)

    def _refuse(self, trajectories: Sequence[Trajectory]) -> list[Decision]:
        for trajectory in trajectories:
            self._end(trajectory, State.FAILED)
        largest = int(self.fleet.capacities.max())
        return [Refuse(t.id, t.context + t.turn_limit, largest) for t in trajectories]

    def _end(self, trajectory: Trajectory, state: State) -> None:
        del self.fleet.trajectories[trajectory.id]
        self._withdraw(trajectory)
        trajectory.move(state, self.fleet.now)
        if state is State.FINISHED:
            self.fleet.forecast.learn_end(trajectory.turn)
        self._policy.ended(trajectory, self.fleet)

    def _withdraw(self, trajectory: Trajectory) -> None:
        """Take a trajectory out of the queue, off its engine and out of the ledger."""
        self.fleet.waiting.discard(trajectory)
        self.fleet.uncount(trajectory)
