"""LMetric: the engine with the least product of prefill to be done and batch size.

"LMetric: Simple is Better - Multiplication May Be All You Need for LLM Request Scheduling" (arXiv
2603.15202, section 5.1):  score = (queued prefill tokens + this request's uncached tokens) * (batch size
+ 1). What is cached is what a router can know: the prefixes that it sent (``routed_prefixes``). Ties go
to the first engine. Nothing ever waits here.
Simplified: prefill counts as queued until its turn ends, as in the paper's router for engines that do not
say when a prefill is done (the paper: until it is done).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

from ..fleet_state import FleetState
from ..policy import Place, Policy, Wait
from ..trajectory import Trajectory
from .placing import able, send
from .routed_prefixes import RoutedPrefixes


@dataclass(kw_only=True)
class LMetric(Policy):
    """The least (queued + uncached tokens) * (turns + 1), for each turn."""

    name: ClassVar[str] = "lmetric"

    _prefixes: RoutedPrefixes = field(init=False, repr=False, default_factory=RoutedPrefixes)
    _queued: Counter[str] = field(init=False, repr=False, default_factory=Counter)  # tokens by engine
    _prefills: dict[str, tuple[str, int]] = field(init=False, repr=False, default_factory=dict)

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send the turn where the product is least."""
        self._drain(trajectory)  # a turn that was abandoned left its prefill behind
        engines = able(trajectory, fleet.engines, fleet)
        uncached = {e: trajectory.context - self._prefixes.matched(trajectory, e) for e in engines}
        engine = min(engines, key=lambda e: (self._queued[e] + uncached[e]) * (fleet.running(e) + 1))
        self._queued[engine] += uncached[engine]
        self._prefills[trajectory.id] = engine, uncached[engine]
        self._prefixes.sent(trajectory, engine)
        return send(trajectory, engine)

    def held(self, trajectory: Trajectory, fleet: FleetState, preemptions: int) -> None:
        """Count its prefill as done."""
        self._drain(trajectory)

    def ended(self, trajectory: Trajectory, fleet: FleetState) -> None:
        """Forget it."""
        self._drain(trajectory)
        self._prefixes.forget(trajectory)

    def _drain(self, trajectory: Trajectory) -> None:
        engine, tokens = self._prefills.pop(trajectory.id, ("", 0))
        self._queued[engine] -= tokens
