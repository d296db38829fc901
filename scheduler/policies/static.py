"""Static assignment: every trajectory is bound to an engine when it first asks, evenly, and stays.

The baseline of rStar2-Agent (arXiv 2508.20722, section on load-balanced rollout scheduling), with
asynchronous tools. Nothing ever waits here: what does not fit queues, and is preempted, inside the engine.
"""

from collections.abc import Sequence

from ..policy import FleetState, Place, Reason, Wait
from ..trajectory import State, Trajectory


class Static:
    """Round robin over engines at the first turn, then always the same engine."""

    name = "static"

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Bind a new trajectory to the engine chosen least recently; later turns go home."""
        if trajectory.home is not None:
            return Place(trajectory.home, Reason.WARM if trajectory.state is State.HELD else Reason.RETURNED)
        return Place(fleet.engines[0], Reason.NEW)

    def park(self, engine: str, fleet: FleetState) -> Sequence[Trajectory]:
        """Park none."""
        return ()
