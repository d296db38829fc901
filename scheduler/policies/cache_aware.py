"""Cache aware with two thresholds: where the prefix was sent before, while the loads are balanced.

The policy of that name in SGLang's router (sgl-model-gateway) and vllm-router 0.1.17, with their
defaults:
- unbalanced, when max - min > ``balance_abs_threshold`` and max > ``balance_rel_threshold`` * min, both
  in requests in flight: the engine with the fewest;
- balanced: the engine that was sent the longest prefix of the request, where that is more than
  ``cache_threshold`` of it, and else the engine with the fewest requests.
Ties go to the first engine, those of a prefix to the one that was sent it the latest. Nothing ever waits
here. The prefixes are counted in tokens, the routers count characters; their periodic eviction of the
tree is left out. (Their documentation says that what matches little goes to the smallest tree; their code
takes the fewest requests, and so does this.)
"""

from dataclasses import dataclass, field
from typing import ClassVar

from ..fleet_state import FleetState
from ..policy import Place, Policy, Wait
from ..trajectory import Trajectory
from .placing import able, send
from .routed_prefixes import RoutedPrefixes


@dataclass(kw_only=True)
class CacheAware(Policy):
    """Affinity by prefix within the bounds of balance."""

    name: ClassVar[str] = "cache_aware"

    cache_threshold: float = 0.3
    balance_abs_threshold: int = 64
    balance_rel_threshold: float = 1.5

    _prefixes: RoutedPrefixes = field(init=False, repr=False, default_factory=RoutedPrefixes)

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send the turn to the longest prefix, or to the fewest turns."""
        engines = able(trajectory, fleet.engines, fleet)
        engine = self._choose(trajectory, engines, fleet)
        self._prefixes.sent(trajectory, engine)
        return send(trajectory, engine)

    def ended(self, trajectory: Trajectory, fleet: FleetState) -> None:
        """Forget its context."""
        self._prefixes.forget(trajectory)

    def _choose(self, trajectory: Trajectory, engines: list[str], fleet: FleetState) -> str:
        least = min(engines, key=fleet.running)
        low, high = fleet.running(least), max(fleet.running(engine) for engine in engines)
        if high - low > self.balance_abs_threshold and high > self.balance_rel_threshold * low:
            return least
        best, matched = self._prefixes.best(trajectory, engines)
        return best if matched > self.cache_threshold * trajectory.context else least
