"""Capped: sticky least-loaded, with at most ``limit`` trajectories on an engine at a time; the rest wait.

What a user gets from a fixed concurrency limit (a semaphore before a sticky router), which is how most
trainers bound the load today. A trajectory holds its place from its first turn to its end, tools
included. No limit is right for every load: the honest rival is the best of a sweep.
"""

from dataclasses import dataclass
from typing import ClassVar

from headway.errors import InputError

from ..fleet_state import FleetState
from ..policy import Place, Policy, Reason, Wait
from ..trajectory import State, Trajectory
from .placing import able, send


@dataclass(kw_only=True)
class Capped(Policy):
    """Sticky least-loaded among the engines with fewer than ``limit`` trajectories."""

    name: ClassVar[str] = "capped"

    limit: int = 32

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise InputError(f"policy capped: limit={self.limit} lets nothing run; choose 1 or more")

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send a turn home, or to the least loaded engine below the cap, or let it wait for one."""
        engines = able(trajectory, fleet.by_recency(), fleet)
        if trajectory.state is State.HELD and trajectory.home in engines:
            return send(trajectory, trajectory.home)
        below = [engine for engine in engines if fleet.counted(engine) < self.limit]
        if not below:
            return Wait(Reason.CAP)
        return send(
            trajectory, trajectory.home if trajectory.home in below else min(below, key=fleet.counted)
        )
