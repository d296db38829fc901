"""Static assignment: every trajectory is bound to an engine when it first asks, evenly, and stays.

The baseline of rStar2-Agent (arXiv 2508.20722, section on load-balanced rollout scheduling). With
``barrier`` also its turns are static: turn k starts only when nobody runs and nobody is in a tool, that
is, when every live trajectory has ended turn k - 1 and come back. Without it, tools are asynchronous and
nothing ever waits here: what does not fit queues, and is preempted, inside the engine.
Simplified: trajectories that come while others are beyond their first turn join at the next barrier.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from ..fleet_state import FleetState
from ..policy import Place, Policy, Reason, Wait
from ..trajectory import State, Trajectory
from .placing import able, send


@dataclass(kw_only=True)
class Static(Policy):
    """Round robin over engines at the first turn, then always the same engine."""

    name: ClassVar[str] = "static"

    barrier: bool = False

    _released: set[str] = field(init=False, repr=False, default_factory=set)

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Bind a new trajectory to the engine chosen least recently; later turns go home."""
        if self.barrier and not self._may_start(trajectory, fleet):
            return Wait(Reason.BARRIER)
        engines = able(trajectory, fleet.by_recency(), fleet)
        return send(trajectory, trajectory.home if trajectory.home in engines else engines[0])

    def ended(self, trajectory: Trajectory, fleet: FleetState) -> None:
        """Forget it."""
        self._released.discard(trajectory.id)

    def _may_start(self, trajectory: Trajectory, fleet: FleetState) -> bool:
        """Whether the turn is let through; the first to find the way clear lets through all that wait."""
        if trajectory.state is State.HELD:
            return False  # it queues first: only what is queued is let through together
        if trajectory.id not in self._released and self._is_clear(fleet):
            self._released = {waiting.id for waiting in fleet.waiting}
        if trajectory.id in self._released:
            self._released.discard(trajectory.id)
            return True
        return trajectory.state is State.NEW and not any(t.turn for t in fleet.trajectories.values())

    def _is_clear(self, fleet: FleetState) -> bool:
        return not any(fleet.running(engine) for engine in fleet.engines) and not fleet.any_in_tools()


@dataclass(kw_only=True)
class StaticBarrier(Static):
    """The same with the barrier at each turn."""

    name: ClassVar[str] = "static_barrier"

    barrier: bool = True
