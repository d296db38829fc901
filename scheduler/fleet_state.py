"""All that a policy may look at: which trajectories are where, what is counted, and what engines have shown.

The dispatcher changes it, one event at a time; a policy only reads. Arrays have one entry for each engine, in
the order in which they were given, lost ones included (a lost engine has no capacity).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from headway.engine import EngineStats

from .engine_cost import EngineCost, pairs
from .forecast import GrowthForecast
from .ledger import Capacity, KvLedger
from .tool_times import ToolTimes
from .trajectory import State, Trajectory
from .turn_queue import TurnQueue


@dataclass
class _EngineState:
    index: int
    running: dict[str, int] = field(default_factory=dict)  # context at dispatch
    in_tools: dict[str, Trajectory] = field(default_factory=dict)
    stats: EngineStats = field(default_factory=EngineStats)


class FleetState:
    """The state of a fleet at ``now`` (seconds)."""

    def __init__(self, capacities: Mapping[str, Capacity], *, max_context: int) -> None:
        self.now = 0.0
        self.revision = 0  # changes with every event
        self.cycle_s = 10.0  # from a turn's dispatch to the next one's, on average of late
        self.ledger = KvLedger(capacities)
        self.forecast = GrowthForecast(max_context)
        self.costs = EngineCost(len(capacities))
        self.tools = ToolTimes()
        self.waiting = TurnQueue()
        self.trajectories: dict[str, Trajectory] = {}
        self.capacities = self.ledger.capacities.copy()
        self.turns = np.zeros(len(capacities))  # turns running
        self.running_tokens = np.zeros(len(capacities))  # their contexts
        self.growth = np.zeros(len(capacities))  # expected until the next turns end
        self.variances = np.zeros(len(capacities))  # of the growth until the next turns end
        self.held_tokens = np.zeros(len(capacities))  # counted of trajectories in tools, less what they share
        self.written = np.zeros(len(capacities))  # by the running turns, when the engine last said so
        self.prefilled = np.zeros(len(capacities))  # pairs of tokens that the turns sent there have prefilled
        self.last_new = np.full(len(capacities), -1)  # when a new trajectory last went there, as a count
        self.ids = list(capacities)
        self._engines = {id: _EngineState(index) for index, id in enumerate(capacities)}
        self._placements = 0

    @property
    def engines(self) -> Sequence[str]:
        """The ids of the living engines."""
        return list(self._engines)

    @property
    def live(self) -> int:
        """Trajectories that are known and not over."""
        return len(self.trajectories)

    def by_recency(self) -> list[str]:
        """The living engines, the one that a new trajectory went to the longest ago first."""
        return sorted(self._engines, key=lambda id: self.last_new[self._engines[id].index])

    def is_alive(self, engine: str | None) -> bool:
        """Whether there is such an engine and it has not been lost."""
        return engine in self._engines

    def index(self, engine: str) -> int:
        """The engine's place in the arrays."""
        return self.ledger.index(engine)

    def capacity(self, engine: str) -> int:
        """Tokens of its KV cache."""
        return self.ledger.capacity(engine) * self.ledger.block_size(engine)

    def running(self, engine: str) -> int:
        """Turns on it."""
        return len(self._engines[engine].running)

    def counted(self, engine: str) -> int:
        """Trajectories counted on it, running or in a tool."""
        return int(self.ledger.counted[self.index(engine)])

    def held(self, engine: str) -> list[Trajectory]:
        """Trajectories counted on it."""
        return [self.trajectories[id] for id in self.ledger.held(engine)]

    def in_tools(self, engine: str) -> list[Trajectory]:
        """Trajectories counted on it that have no turn, the one longest in its tool first."""
        return list(self._engines[engine].in_tools.values())

    def any_in_tools(self) -> bool:
        """Whether any trajectory is between turns, counted or not."""
        return any(t.state in (State.HELD, State.PARKED) for t in self.trajectories.values())

    def reported(self, engine: str) -> EngineStats:
        """What the engine last said of itself; it lags."""
        return self._engines[engine].stats

    # What follows is the dispatcher's.

    def report(self, engine: str, stats: EngineStats) -> None:
        """Take in what an engine says of itself, just as a turn on it has ended and been noted."""
        state = self._engines[engine]
        index = state.index
        state.stats = stats
        in_use = stats.kv_usage * self.capacities[index] + self.held_tokens[index]
        self.written[index] = max(in_use - self.ledger.tokens[index], 0.0)
        tokens = self.running_tokens[index] + self.written[index]
        self.costs.observe(
            index, self.now, stats, turns=len(state.running), tokens=tokens, prefilled=self.prefilled[index]
        )

    def count(self, trajectory: Trajectory, engine: str) -> None:
        """Count a trajectory on an engine."""
        index = self.index(engine)
        before = self.ledger.tokens[index]
        self.ledger.hold(engine, trajectory.id, trajectory.shared, trajectory.context)
        known = trajectory.context - (self.ledger.tokens[index] - before)
        self.prefilled[index] += pairs(trajectory.context, max(known, 0))
        trajectory.home = engine
        self._reserve(trajectory)

    def grow(self, trajectory: Trajectory) -> None:
        """Count a counted trajectory with the context that it has now."""
        self.ledger.grow(trajectory.id, trajectory.context)
        self._reserve(trajectory)

    def uncount(self, trajectory: Trajectory) -> None:
        """Count a trajectory no more, and take it off its engine; one that is not counted is ignored."""
        engine = self.ledger.engine_of(trajectory.id)
        if engine is None:
            return
        self.ledger.release(trajectory.id)
        index = self.index(engine)
        self.growth[index] -= trajectory.growth
        self.variances[index] = max(self.variances[index] - trajectory.variance, 0.0)
        trajectory.growth = trajectory.variance = 0.0
        if not self.ledger.counted[index]:
            self.growth[index] = self.variances[index] = 0.0  # no rest of rounding stays behind
        self.leave(trajectory)

    def run(self, trajectory: Trajectory, *, is_new: bool) -> None:
        """Note a turn on the trajectory's home."""
        if trajectory.turn:
            self.cycle_s += (self.now - trajectory.dispatched - self.cycle_s) / 64
        trajectory.dispatched = self.now
        self.forecast.started(trajectory.turn, self.now)
        assert trajectory.home is not None
        state = self._engines[trajectory.home]
        if state.in_tools.pop(trajectory.id, None) is not None:
            self.held_tokens[state.index] -= trajectory.resting
            self.prefilled[state.index] += pairs(trajectory.context, trajectory.boundary)
        state.running[trajectory.id] = trajectory.context
        self.turns[state.index] += 1
        self.running_tokens[state.index] += trajectory.context
        if is_new:
            self._placements += 1
            self.last_new[state.index] = self._placements

    def leave(self, trajectory: Trajectory) -> None:
        """Take a trajectory off its engine, where it runs or waits for its tool."""
        state = self._engines.get(trajectory.home) if trajectory.home is not None else None
        if state is None:
            trajectory.home = None
            return
        if state.in_tools.pop(trajectory.id, None) is not None:
            self.held_tokens[state.index] -= trajectory.resting
        context = state.running.pop(trajectory.id, None)
        if context is not None:
            self.turns[state.index] -= 1
            self.running_tokens[state.index] -= context
            self.forecast.stopped(trajectory.turn, trajectory.dispatched)
        if not state.running:
            self.written[state.index] = 0

    def rest(self, trajectory: Trajectory) -> None:
        """Note that the trajectory's turn ended, and it stays counted on its home."""
        assert trajectory.home is not None
        state = self._engines[trajectory.home]
        state.in_tools[trajectory.id] = trajectory
        trajectory.resting = trajectory.private
        self.held_tokens[state.index] += trajectory.resting

    def lose(self, engine: str) -> None:
        """Take an engine out of the fleet; its turns run no more, whatever becomes of them."""
        state = self._engines.pop(engine)
        for id in state.running:
            self.forecast.stopped(self.trajectories[id].turn, self.trajectories[id].dispatched)
        self.capacities[state.index] = 0
        for array in (self.turns, self.running_tokens, self.held_tokens, self.written):
            array[state.index] = 0

    def _reserve(self, trajectory: Trajectory) -> None:
        """Take into account what a counted trajectory is expected to grow by."""
        assert trajectory.home is not None
        growth, variance = self.forecast.growth(trajectory.turn, trajectory.turn_limit, self.now)
        growth = max(growth - (trajectory.context - trajectory.boundary), 0.0)
        index = self.index(trajectory.home)
        self.growth[index] += growth - trajectory.growth
        self.variances[index] = max(self.variances[index] + variance - trajectory.variance, 0.0)
        trajectory.growth, trajectory.variance = growth, variance
