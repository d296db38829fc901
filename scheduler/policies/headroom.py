"""Headroom: admit a trajectory only where its KV, and the growth of all that is counted there, fits.

Demand of an engine, in tokens:  D = unique blocks counted + sum(mu) + z * sqrt(sum(var))
over every trajectory counted on it, with mu and var the forecast growth until its next turn ends.
- A turn whose KV is still counted on its home goes there at once (warm).
- Any other turn is admitted where D, itself included, stays within ``theta`` of the capacity; one too large
  for that even alone goes to an empty engine whose cache can hold it.
- Among engines that fit, the least (uncached tokens) * (turns running + 1) / (headroom left, as a share).
- An engine that grew beyond its budget parks trajectories in tools, the smallest first (least to recompute),
  but never its last one.

Invariant: what is admitted beside others never takes an engine's demand beyond its budget.
"""

import math
from collections.abc import Sequence

import msgspec

from ..policy import FleetState, Place, Reason, Wait
from ..trajectory import State, Trajectory


class Headroom(msgspec.Struct, frozen=True, kw_only=True):
    """The default policy: promise ``theta`` of the KV cache; reserve ``z`` deviations beyond the mean."""

    theta: float = 0.95
    z: float = 1.65

    @property
    def name(self) -> str:
        """The name under which users select it."""
        return "headroom"

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send a warm turn home; admit any other where it fits best, or let it wait."""
        if trajectory.state is State.HELD and trajectory.home is not None:
            return Place(trajectory.home, Reason.WARM)
        fitting = [engine for engine in fleet.engines if self._admits(engine, trajectory, fleet)]
        if not fitting:
            return Wait(Reason.KV_FULL)
        engine = min(fitting, key=lambda engine: self._price(engine, trajectory, fleet))
        return Place(engine, Reason.NEW if trajectory.state is State.NEW else Reason.RETURNED)

    def park(self, engine: str, fleet: FleetState) -> Sequence[Trajectory]:
        """Name trajectories in tools, smallest first, until the engine's demand is within its budget."""
        victims: list[Trajectory] = []
        staying = fleet.held(engine)
        excess = self._demand(engine, staying, fleet) - self._budget(engine, fleet)
        candidates = sorted(fleet.waiting_in_tools(engine), key=lambda t: t.context)
        while excess > 0 and candidates and len(staying) > 1:
            victim = candidates.pop(0)
            victims.append(victim)
            staying.remove(victim)
            freed = sum(v.context - v.prompt for v in victims)  # the shared prompt may stay behind
            excess = self._demand(engine, staying, fleet) - freed - self._budget(engine, fleet)
        return victims

    def demand(self, engine: str, fleet: FleetState) -> float:
        """Tokens promised on the engine: unique blocks counted, and the reserve for their growth."""
        return self._demand(engine, fleet.held(engine), fleet)

    def _budget(self, engine: str, fleet: FleetState) -> float:
        return self.theta * fleet.ledger.capacity(engine) * fleet.ledger.block_size(engine)

    def _admits(self, engine: str, candidate: Trajectory, fleet: FleetState) -> bool:
        held, block_size = fleet.held(engine), fleet.ledger.block_size(engine)
        if not held:
            return candidate.context + candidate.turn_limit <= fleet.ledger.capacity(engine) * block_size
        cost = block_size * fleet.ledger.cost(
            engine, candidate.group, prompt=candidate.prompt, context=candidate.context
        )
        return self._demand(engine, [*held, candidate], fleet) + cost <= self._budget(engine, fleet)

    def _demand(self, engine: str, growing: Sequence[Trajectory], fleet: FleetState) -> float:
        """Tokens counted on the engine, plus the reserve for ``growing``."""
        mean = variance = 0.0
        for t in growing:
            growth, spread = fleet.forecast.growth(t.turn, t.turn_limit)
            mean += max(growth - (t.context - t.boundary), 0.0)  # less what it has added already
            variance += spread
        reserve = mean + self.z * math.sqrt(variance)
        return fleet.ledger.used(engine) * fleet.ledger.block_size(engine) + reserve

    def _price(self, engine: str, trajectory: Trajectory, fleet: FleetState) -> float:
        ledger = fleet.ledger
        shared = ledger.shares_prompt(engine, trajectory.group, trajectory.prompt)
        cached = trajectory.prompt if shared else 0
        if trajectory.home == engine:
            cached = trajectory.context - 1  # likely still in its prefix cache
        free = 1 - self.demand(engine, fleet) / (ledger.capacity(engine) * ledger.block_size(engine))
        return max(trajectory.context - cached, 1) * (len(fleet.running[engine]) + 1) / max(free, 0.01)
