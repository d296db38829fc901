"""Sticky least-loaded: a new trajectory goes to the engine with the fewest turns, later turns go home.

What verl, SkyRL and prime-rl do at their routers, without a cap on concurrency. Nothing ever waits here:
what does not fit queues, and is preempted, inside the engine.
"""

from collections.abc import Sequence

from ..policy import FleetState, Place, Reason, Wait
from ..trajectory import State, Trajectory


class StickyLeastLoaded:
    """Fewest live trajectories first; ties go to the engine chosen least recently."""

    name = "sticky_least_loaded"

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send later turns home and a new trajectory to the least loaded engine."""
        if trajectory.home is not None:
            return Place(trajectory.home, Reason.WARM if trajectory.state is State.HELD else Reason.RETURNED)
        return Place(min(fleet.engines, key=lambda engine: len(fleet.held(engine))), Reason.NEW)

    def park(self, engine: str, fleet: FleetState) -> Sequence[Trajectory]:
        """Park none."""
        return ()
