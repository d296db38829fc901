"""Round robin: each turn goes to the next engine, whatever was there before.

The policy of that name in vllm-router 0.1.17 and SGLang's router: a counter of requests modulo the
engines alive. Nothing ever waits here, and nothing is kept warm but by chance.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from ..fleet_state import FleetState
from ..policy import Place, Policy, Wait
from ..trajectory import Trajectory
from .placing import able, send


@dataclass(kw_only=True)
class RoundRobin(Policy):
    """The next engine for each turn."""

    name: ClassVar[str] = "round_robin"

    _turns: int = field(init=False, repr=False, default=0)

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send the turn to the next engine."""
        engines = able(trajectory, fleet.engines, fleet)
        self._turns += 1
        return send(trajectory, engines[(self._turns - 1) % len(engines)])
