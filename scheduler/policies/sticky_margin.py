"""Sticky with a margin: later turns go home unless home is too much busier than the least busy engine.

verl's ``affinity_break_margin`` (verl pull request 7435, which found 2 best): load is the requests in
flight, a conversation that is moved stays where it was moved to, and a new one goes where the load is
least. Ties go to the engine chosen least recently (verl: at random, since pull request 7613). Nothing
ever waits here.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..fleet_state import FleetState
from ..policy import Place, Policy, Wait
from ..trajectory import Trajectory
from .placing import able, send


@dataclass(kw_only=True)
class StickyMargin(Policy):
    """Home while it has at most ``margin`` turns more than the engine with the fewest."""

    name: ClassVar[str] = "sticky_margin"

    margin: int = 2

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send the turn home, or to the engine with the fewest turns where home has too many."""
        engines = able(trajectory, fleet.by_recency(), fleet)
        least = min(engines, key=fleet.running)
        home = trajectory.home
        stays = home in engines and fleet.running(home) - fleet.running(least) <= self.margin
        return send(trajectory, home if home is not None and stays else least)
