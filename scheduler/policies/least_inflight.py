"""Least in flight: each turn goes to the engine with the fewest turns running.

What HTTP load balancers offer as least connections (nginx ``least_conn``). Ties go to the engine that a new
trajectory went to the longest ago. Nothing ever waits here.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..fleet_state import FleetState
from ..policy import Place, Policy, Wait
from ..trajectory import Trajectory
from .placing import able, send


@dataclass(kw_only=True)
class LeastInflight(Policy):
    """The engine with the fewest turns, for each turn."""

    name: ClassVar[str] = "least_inflight"

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send the turn to the engine with the fewest turns."""
        return send(trajectory, min(able(trajectory, fleet.by_recency(), fleet), key=fleet.running))
