"""What the policies share: which engines can hold a turn at all, and under which reason it goes to one.

Knows nothing of any rule by which an engine is chosen.
"""

from collections.abc import Sequence

from ..fleet_state import FleetState
from ..policy import Place, Reason
from ..trajectory import State, Trajectory


def send(trajectory: Trajectory, engine: str) -> Place:
    """Place the turn on the engine, with the reason that its state gives."""
    if trajectory.state is State.HELD:
        return Place(engine, Reason.WARM if engine == trajectory.home else Reason.MOVED)
    return Place(engine, Reason.NEW if trajectory.state is State.NEW else Reason.RETURNED)


def able(trajectory: Trajectory, engines: Sequence[str], fleet: FleetState) -> list[str]:
    """Those of the engines whose cache can hold the turn; never none, for a turn that was not refused."""
    needed = trajectory.context + trajectory.turn_limit
    return [engine for engine in engines if fleet.capacity(engine) >= needed]
