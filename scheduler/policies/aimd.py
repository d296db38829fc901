"""AIMD on KV usage: a cap on those in flight that grows while the engines are clear, and is cut when not.

prime-rl's adaptive concurrency (src/prime_rl/orchestrator/concurrency.py as of pull requests 3285, 3307
and 3556, September 2026), with its constants. Every ``poll_s`` it looks at what the engines report:
- grow: each trajectory that ends multiplies the cap by growth ** (1 / in flight), with growth from 1.2 at
  a KV usage of 0 down to 1 at 0.8, while no engine queues or preempts and at least 0.9 of the cap is in
  use;
- trim: where an engine's KV usage is above 0.8, cap = in flight * 0.7 / usage, at most every 6 polls;
- cut: on preemptions to 0.8 of those in flight, on a queue above half of what runs for 6 polls to 0.9;
  then no further cut until they have drained below the cap, and to 0.5 for a repeat within 6 polls of
  that.
It starts at the KV capacity of the fleet over ``longest``, the longest that a trajectory may get. Below
the cap placement is sticky least-loaded; a trajectory once in flight is never held back.
Simplified: the cap never cancels trajectories (prime-rl cancels the youngest above a usage of 0.9 and on
cuts).
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from headway.errors import InputError

from ..fleet_state import FleetState
from ..policy import Place, Policy, Reason, Wait
from ..trajectory import State, Trajectory
from .placing import able, send

GROWTH = 0.2  # of the cap, while as many trajectories end as are in flight, at a KV usage of 0
BINDING = 0.9  # the cap counts as reached when this share of it is in flight
SOFT_CAP = 0.8  # KV usage above which the cap is trimmed
TARGET = 0.7  # KV usage that a trim aims at
TRIM_COOLDOWN = 6  # polls
QUEUE_RATIO = 0.5  # of waiting to running turns
QUEUE_POLLS = 6
QUEUE_CUT = 0.9
PREEMPTION_CUT = 0.8
ESCALATED_CUT = 0.5
ESCALATION_POLLS = 6
GROWTH_TTL_S = 15.0  # growth stops this long after the last poll


@dataclass(kw_only=True)
class Aimd(Policy):
    """Sticky least-loaded under a cap on all trajectories in flight, set by what the engines report."""

    name: ClassVar[str] = "aimd"

    longest: int = 32_768
    floor: int = 1
    poll_s: float = 5.0

    _cap: float = field(init=False, repr=False, default=0.0)
    _in_flight: set[str] = field(init=False, repr=False, default_factory=set)
    _polled: float = field(init=False, repr=False, default=-math.inf)
    _growth: float = field(init=False, repr=False, default=1.0)
    _waited: set[str] = field(init=False, repr=False, default_factory=set)
    _preemptions: dict[str, int] = field(init=False, repr=False, default_factory=dict)
    _queue_polls: int = field(init=False, repr=False, default=0)
    _cooldown: int = field(init=False, repr=False, default=0)
    _draining: bool = field(init=False, repr=False, default=False)
    _grace: int = field(init=False, repr=False, default=0)  # polls in which a repeated cut is harder

    def __post_init__(self) -> None:
        if self.floor < 1 or self.poll_s <= 0 or self.longest < 1:
            raise InputError("policy aimd: floor and longest must be 1 or more, and poll_s above 0")

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Let a new trajectory in below the cap, to the least loaded engine; later turns go home."""
        if trajectory.state is State.NEW and len(self._in_flight) >= self._limit(fleet):
            return Wait(Reason.CAP)
        self._in_flight.add(trajectory.id)
        engines = able(trajectory, fleet.by_recency(), fleet)
        if trajectory.home in engines:
            return send(trajectory, trajectory.home)
        return send(trajectory, min(engines, key=fleet.counted))

    def ended(self, trajectory: Trajectory, fleet: FleetState) -> None:
        """Grow the cap by the share of one turnover, while the last poll allows it."""
        if trajectory.id not in self._in_flight:
            return
        count = len(self._in_flight)
        fresh = fleet.now < self._polled + GROWTH_TTL_S
        if fresh and count >= BINDING * self._limit(fleet):
            self._cap *= self._growth ** (1 / count)
        self._in_flight.discard(trajectory.id)

    def wake_at(self, fleet: FleetState) -> float | None:
        """The next poll, while anything is live."""
        if not fleet.live or not fleet.engines:
            return None
        return max(self._polled + self.poll_s, fleet.now) if math.isfinite(self._polled) else fleet.now

    def wake(self, fleet: FleetState) -> tuple[()]:
        """Poll: set the growth, and trim or cut the cap."""
        if fleet.now >= self._polled + self.poll_s and fleet.engines:
            self._polled = fleet.now
            self._poll(fleet)
        return ()

    def _limit(self, fleet: FleetState) -> int:
        if not self._cap:
            self._cap = max(sum(map(fleet.capacity, fleet.engines)) / self.longest, self.floor)
        return int(self._cap)

    def _poll(self, fleet: FleetState) -> None:
        stats = {engine: fleet.reported(engine) for engine in fleet.engines}
        usage = max(s.kv_usage for s in stats.values())
        running, queued = sum(s.running for s in stats.values()), sum(s.waiting for s in stats.values())
        preempted = any(s.preemptions > self._preemptions.get(e, 0) for e, s in stats.items())
        waiting = {engine for engine, s in stats.items() if s.waiting}
        is_clear = not (preempted or queued or waiting & self._waited or usage > SOFT_CAP)
        self._preemptions, self._waited = {e: s.preemptions for e, s in stats.items()}, waiting
        self._queue_polls = self._queue_polls + 1 if queued > QUEUE_RATIO * running > 0 else 0
        overloaded = self._queue_polls >= QUEUE_POLLS
        self._settle(is_settled=not preempted and not overloaded, fleet=fleet)
        self._growth = 1 + GROWTH * max(0.0, 1 - usage / SOFT_CAP) if is_clear and not self._draining else 1.0
        if self._draining:
            return
        if preempted or overloaded:
            self._cut(QUEUE_CUT if overloaded else PREEMPTION_CUT, fleet)
        elif usage > SOFT_CAP and self._in_flight and not self._cooldown:
            self._lower(len(self._in_flight) * TARGET / usage, fleet)
            self._cooldown = TRIM_COOLDOWN

    def _settle(self, *, is_settled: bool, fleet: FleetState) -> None:
        """Let the time since the last trim and cut pass."""
        self._cooldown, self._grace = max(self._cooldown - 1, 0), max(self._grace - 1, 0)
        if self._draining and is_settled and len(self._in_flight) <= self._limit(fleet):
            self._draining, self._grace = False, ESCALATION_POLLS

    def _cut(self, share: float, fleet: FleetState) -> None:
        self._lower(len(self._in_flight) * (ESCALATED_CUT if self._grace else share), fleet)
        self._queue_polls, self._draining = 0, True

    def _lower(self, cap: float, fleet: FleetState) -> None:
        self._cap = float(max(min(int(cap), self._limit(fleet)), self.floor))
