"""What Progress-TTL remembers of each trajectory, and by which engine it is bound.

Knows nothing of when a program is admitted or paused.
"""

import math
from dataclasses import dataclass

from ..fleet_state import FleetState
from ..trajectory import State, Trajectory
from .consistent_hash import HashRing
from .placing import able
from .progress_factors import Load

DECODE_BUFFER = 100  # tokens
_POINTS = 160  # of an engine, on the ring


@dataclass
class Program:
    """What is remembered of one trajectory. ``rounds`` counts its turns since it was admitted; ``refused_by``
    is the load beside which it did not fit."""

    engine: str
    prompt: int = 0  # of its running or last turn
    dispatched: float = 0.0
    finished: float = -math.inf
    rounds: int = 0
    unpaused_rounds: int = 0
    miss: float = 0.0
    segment_from: float = 0.0
    queued: float = 0.0
    forced_at: float = math.inf
    expires: float = math.inf
    last_prompt: int | None = None
    is_marked: bool = False
    has_yielded: bool = False
    refused_by: Load | None = None


class Programs:
    """The programs by trajectory; a new one is bound to an engine by a consistent hash."""

    def __init__(self) -> None:
        self._programs: dict[str, Program] = {}
        self._ring = HashRing(_POINTS)

    def of(self, trajectory: Trajectory, fleet: FleetState) -> Program:
        """The trajectory's program; a new one where its engine has been lost."""
        program = self._programs.get(trajectory.id)
        if program is None or not fleet.is_alive(program.engine):
            engine = self._ring.owner(trajectory.id, able(trajectory, fleet.engines, fleet) or fleet.engines)
            program = self._programs[trajectory.id] = Program(engine)
        return program

    def of_arrival(self, trajectory: Trajectory, fleet: FleetState) -> Program:
        """The same as its turn begins to wait; a new one, too, where its engine has become too small."""
        program = self.of(trajectory, fleet)
        needed = trajectory.context + trajectory.turn_limit
        if trajectory.state is State.RETURNED and needed > fleet.capacity(program.engine):
            del self._programs[trajectory.id]
            program = self.of(trajectory, fleet)
        return program

    def known(self, trajectory: Trajectory) -> Program | None:
        """The trajectory's program, if there is one already."""
        return self._programs.get(trajectory.id)

    def forget(self, trajectory: Trajectory) -> None:
        """Remember nothing of the trajectory."""
        self._programs.pop(trajectory.id, None)


def private(trajectory: Trajectory) -> int:
    """Tokens that the program is charged: its context without the shared prompt, and room to decode."""
    return trajectory.context - trajectory.prompt + DECODE_BUFFER
