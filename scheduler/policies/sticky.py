"""Sticky least-loaded: a new trajectory goes to the engine with the fewest, later turns go home.

The policy of that name in vllm-router 0.1.17 (an engine's load is its sessions), and what verl, SkyRL and
prime-rl do at their routers, without a cap on concurrency. Nothing ever waits here: what does not fit
queues, and is preempted, inside the engine.
Simplified: ties go to the engine chosen least recently (vllm-router: by a hash of the session); after new
weights, when nothing is cached, trajectories are placed afresh.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..fleet_state import FleetState
from ..policy import Place, Policy, Wait
from ..trajectory import Trajectory
from .placing import able, send


@dataclass(kw_only=True)
class StickyLeastLoaded(Policy):
    """Fewest live trajectories first; ties go to the engine chosen least recently."""

    name: ClassVar[str] = "sticky_least_loaded"

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send later turns home and a new trajectory to the least loaded engine."""
        engines = able(trajectory, fleet.by_recency(), fleet)
        if trajectory.home in engines:
            return send(trajectory, trajectory.home)
        return send(trajectory, min(engines, key=fleet.counted))
