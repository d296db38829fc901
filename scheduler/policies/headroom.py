"""Headroom: a trajectory is admitted only where its KV, and growth to come, fits beside what is there.

Demand of an engine, in tokens:

    D = unique blocks counted + written + kept * (sum(mu) + z * sqrt(sum(var)))

over every trajectory counted on it, running or in a tool. ``written`` is what the running turns have added so
far, as the engine last reported it; mu and var forecast the growth until the next turn ends; ``kept`` is the
share of that reserve that is worth keeping (``kept``).

- Admission: where D, the trajectory included, is at most ``theta`` of the cache. One too large for that even
  alone goes to an empty engine whose cache can hold it.
- A turn whose KV is still counted on its home goes there at once, unless home runs so many turns more than
  the least busy engine that leaving them behind gains more than computing the KV anew costs.
- Among engines that fit: the one where it costs the fleet the least time (``_price``).
- An engine that has grown beyond its cache parks trajectories in tools, the smallest first (least to
  recompute), but never its last one. While turns wait, one is parked too when its tool takes longer than
  holding its KV is worth, by what tools have taken so far.
- Order: least progress first, so that the longest remaining work starts early and the batch has no tail;
  those that have made none in order of arrival. Time is cut into eras of ``PATIENCE`` turns, and what
  came in an earlier era goes first, so that nothing starves. Where the first does not fit, the engine with
  most room is kept for it, and those behind it may go to the others.

Invariant: what is admitted beside others never takes an engine's demand beyond its budget.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from headway.errors import InputError

from ..fleet_state import FleetState
from ..policy import Place, Policy, Reason, Wait
from ..trajectory import State, Trajectory

Vector = NDArray[np.float64]
TUNE_EVERY = 64  # events between two looks at the speed that engines have shown
PATIENCE = 40  # turns' time that an era lasts: a waiting turn goes before all of later eras
RAISE = 0.05  # what a preemption adds to ``kept``
LEAST = 0.2  # of the reserve that is always kept
MARGIN = 2  # turns more than on the least busy engine, beyond which a warm turn may move
PAYS = 2.0  # times the prefill that a move costs: what it has to gain


@dataclass(kw_only=True)
class Headroom(Policy):
    """The default policy. The switches turn parts of it off, to see what they are worth.

    ``theta``: the share of the KV cache that admission may promise; ``z``: deviations reserved beyond the
    mean.
    """

    name: ClassVar[str] = "headroom"

    theta: float = 0.92
    z: float = 1.0
    reserve: bool = True  # reserve room for growth at all
    adapt: bool = True  # keep only as much of the reserve as pays, and more after preemptions
    park_full: bool = True  # park trajectories in tools on an engine that grew beyond its cache
    hold: bool = True  # stop holding KV, while turns wait, when that does not pay any more
    migrate: bool = True  # move warm turns off busy engines
    backfill: bool = True  # let turns go before a first one that does not fit
    least_first: bool = True  # least progress first; off: returned work first, each in order of arrival

    _raised: Vector = field(init=False, repr=False)
    _kept: Vector = field(init=False, repr=False)
    _kept_at: int = field(init=False, repr=False, default=-1)
    _worth: float = field(init=False, repr=False, default=1.0)
    _expiries: list[tuple[float, int, Trajectory, float]] = field(
        init=False, repr=False, default_factory=list
    )
    _era: int = field(init=False, repr=False, default=0)
    _era_ends: float = field(init=False, repr=False, default=-math.inf)
    _saved_for_head: int | None = field(init=False, repr=False, default=None)
    _room: float = field(init=False, repr=False, default=0.0)  # most tokens to spare on an engine in use
    _empty: float = field(init=False, repr=False, default=0.0)  # cache of the largest engine that is not
    _least_kept: float = field(init=False, repr=False, default=1.0)
    _means: dict[tuple[int, int], float] = field(init=False, repr=False, default_factory=dict)  # of growth
    _failed: tuple[Any, ...] | None = field(init=False, repr=False, default=None)
    _room_at: tuple[int, int] = field(init=False, repr=False, default=(-1, -1))
    _tuned: int = field(init=False, repr=False, default=-TUNE_EVERY)

    def __post_init__(self) -> None:
        if not 0 < self.theta <= 1:
            raise InputError(f"policy headroom: theta is {self.theta:g}; it must be above 0 and at most 1")

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send a warm turn home; admit any other where it fits best, or let it wait."""
        self._tune(fleet)
        if trajectory.state is State.HELD and trajectory.home is not None:
            return self._resume(trajectory, trajectory.home, fleet)
        is_head = not len(fleet.waiting) or fleet.waiting.at(0) is trajectory
        if is_head:
            self._saved_for_head = None
        if not self._may_fit(trajectory, fleet):
            return self._wait(trajectory, is_head, fleet)
        fitting = self._fitting(trajectory, fleet)
        if self._saved_for_head is not None:
            fitting[self._saved_for_head] = False
        if not fitting.any():
            self._failed = _size(trajectory)
            return self._wait(trajectory, is_head, fleet)
        price = np.where(fitting, self._price(trajectory, fleet), np.inf)
        best = np.flatnonzero(price <= price.min() * (1 + 1e-9))
        index = best[0] if len(best) == 1 else best[np.argmin(fleet.last_new[best])]
        return Place(fleet.ids[index], Reason.NEW if trajectory.state is State.NEW else Reason.RETURNED)

    def rank(self, trajectory: Trajectory, fleet: FleetState) -> Any:
        """Order waiting turns by progress, those of an earlier era before those of a later one."""
        if not self.least_first:
            return trajectory.state is State.NEW, 0
        if fleet.now >= self._era_ends:
            self._era, self._era_ends = self._era + 1, fleet.now + PATIENCE * fleet.cycle_s
        era = self._era if trajectory.queued_at is None else trajectory.queued_at[0][0]
        return era, trajectory.context - trajectory.prompt

    def park(self, engine: str, fleet: FleetState) -> Sequence[Trajectory]:
        """Name trajectories in tools, smallest first, until what the engine has is within its cache."""
        index = fleet.index(engine)
        excess = float(fleet.ledger.tokens[index] + fleet.written[index] - fleet.capacities[index])
        if excess <= 0 or not self.park_full:
            return ()
        victims: list[Trajectory] = []
        candidates = sorted(fleet.in_tools(engine), key=lambda t: t.private)
        for victim in candidates[: fleet.counted(engine) - 1]:
            if excess <= 0:
                break
            victims.append(victim)
            excess -= victim.private  # what it shares may stay behind
        return victims

    def held(self, trajectory: Trajectory, fleet: FleetState, preemptions: int) -> None:
        """Note until when holding a trajectory in a tool pays, and whether its engine was too full."""
        self._tune(fleet)
        if self.hold and fleet.costs.is_known:
            expiry = fleet.now + fleet.tools.hold_s(self._break_even_s(trajectory, fleet))
            heapq.heappush(self._expiries, (expiry, trajectory.arrival, trajectory, trajectory.since))
            if len(self._expiries) > 2 * fleet.live + TUNE_EVERY:  # most are over
                self._expiries = [entry for entry in self._expiries if _is_held(*entry[2:])]
                heapq.heapify(self._expiries)
        if self.reserve and self.adapt and trajectory.home is not None:
            index = fleet.index(trajectory.home)
            calm = 1 / max(fleet.ledger.counted[index], 1)
            step = RAISE * preemptions if preemptions else -calm
            self._raised[index] = min(max(self._raised[index] + step, 0.0), 1.0)

    def wake_at(self, fleet: FleetState) -> float | None:
        """While turns wait: when the next hold stops paying."""
        while self._expiries and not _is_held(*self._expiries[0][2:]):
            heapq.heappop(self._expiries)
        if not len(fleet.waiting) or not self._expiries:
            return None
        return max(self._expiries[0][0], fleet.now)

    def wake(self, fleet: FleetState) -> Sequence[Trajectory]:
        """Park the trajectory that has been held for longest beyond what pays."""
        at = self.wake_at(fleet)
        if at is None or at > fleet.now:
            return ()
        return [heapq.heappop(self._expiries)[2]]

    def demand(self, fleet: FleetState) -> Vector:
        """Tokens promised on each engine."""
        self._tune(fleet)
        reserve = fleet.growth + self.z * np.sqrt(fleet.variances)
        return fleet.ledger.tokens + fleet.written + self.kept(fleet) * reserve

    def kept(self, fleet: FleetState) -> Vector:
        """The share of its reserve that each engine keeps, the same for all that one event lets in.

        It is the number of turns for which an admission has to last. Where the engine overflows, somebody's
        KV is computed anew, which takes T seconds of it. Until then one trajectory more makes 1/n of the
        progress of n, in the share ``worth`` of a step that it does not lengthen. So it is worth its place if
        that lasts for n * T / worth seconds: that many turns of growth have to fit, ``LEAST`` at least and
        one at most. One is kept until the engines' speed is known, and as long as turns are in step: those
        that start together grow together. Each turn without a preemption takes 1/n of that away, and each
        preemption adds ``RAISE``.
        """
        if self._kept_at != fleet.revision:
            self._kept_at = fleet.revision
            self._kept = self._kept_now(fleet)
        return self._kept

    def _kept_now(self, fleet: FleetState) -> Vector:
        if not self.reserve:
            return np.zeros(len(fleet.ids))
        if not (self.adapt and fleet.costs.is_known):
            return np.ones(len(fleet.ids))
        counted = np.maximum(fleet.ledger.counted, 1)
        again_s = fleet.costs.prefill_s(fleet.ledger.tokens / counted)
        turns = counted * again_s / self._worth / max(fleet.cycle_s, 1e-9)
        kept: Vector = np.clip(turns + self._raised, LEAST, 1.0)
        return kept

    def budget(self, fleet: FleetState) -> Vector:
        """Tokens that admission may promise on each engine."""
        return self.theta * fleet.capacities

    def _fitting(self, trajectory: Trajectory, fleet: FleetState) -> NDArray[np.bool_]:
        """On which engines the trajectory can be admitted."""
        cost = fleet.ledger.costs(trajectory.shared, trajectory.context)
        mean, variance = fleet.forecast.growth(trajectory.turn, trajectory.turn_limit, fleet.now)
        reserve = fleet.growth + mean + self.z * np.sqrt(fleet.variances + variance)
        beside = fleet.ledger.tokens + fleet.written + cost + self.kept(fleet) * reserve <= self.budget(fleet)
        alone = trajectory.context + trajectory.turn_limit <= fleet.capacities
        return np.where(fleet.ledger.counted > 0, beside, alone) & alone

    def _may_fit(self, trajectory: Trajectory, fleet: FleetState) -> bool:
        """Rule out, at little cost, most of what fits nowhere."""
        at = fleet.revision, fleet.ledger.changes
        if self._room_at != at:
            is_empty = fleet.ledger.counted == 0
            room = np.where(is_empty, -np.inf, self.budget(fleet) - self.demand(fleet))
            self._room, self._least_kept, self._room_at = float(room.max()), float(self.kept(fleet).min()), at
            self._empty = float(np.where(is_empty, fleet.capacities, 0).max())
            self._failed = None
            self._means.clear()
        if self._failed == _size(trajectory):
            return False  # a sibling of its size has just failed
        if trajectory.context + trajectory.turn_limit <= self._empty:
            return True
        if trajectory.private > self._room:
            return False
        kind = trajectory.turn, trajectory.turn_limit
        if kind not in self._means:
            self._means[kind] = fleet.forecast.growth(*kind, fleet.now)[0]
        return trajectory.private + self._least_kept * self._means[kind] <= self._room

    def _wait(self, trajectory: Trajectory, is_head: bool, fleet: FleetState) -> Wait:
        """Let a turn wait; for the first of all, the engine with most room is saved from those behind it."""
        if is_head:
            able = trajectory.context + trajectory.turn_limit <= fleet.capacities
            room = np.where(able, self.budget(fleet) - self.demand(fleet), -np.inf)
            self._saved_for_head = int(np.argmax(room))
        is_hopeless = max(self._room, self._empty) <= 0 or len(fleet.ids) == 1  # for those behind it, too
        return Wait(Reason.KV_FULL, blocks=is_hopeless or not self.backfill)

    def _price(self, trajectory: Trajectory, fleet: FleetState) -> Vector:
        """Seconds that the trajectory costs itself and those beside it on each engine, to its end.

        Prefill of what is not cached stalls everyone on the engine; each token that it decodes beside the
        others makes their step longer, and they make its own longer.
        """
        costs = fleet.costs
        uncached = fleet.ledger.costs(trajectory.shared, trajectory.context)
        if trajectory.home is not None:
            uncached[fleet.index(trajectory.home)] = 1  # likely still in its prefix cache
        rest = fleet.forecast.remaining(trajectory, fleet.now)
        load = costs.decode * fleet.ledger.counted + costs.read * fleet.ledger.tokens
        own = costs.decode + costs.read * trajectory.context
        again = costs.prefill_s(trajectory.context) / max(trajectory.context, 1) * uncached
        return again * (1 + fleet.turns) + rest * (load + own * fleet.ledger.counted)

    def _resume(self, trajectory: Trajectory, home: str, fleet: FleetState) -> Place | Wait:
        """Send a warm turn home, or to the least busy engine where a move is worth a prefill.

        The turn reads the context of all that run beside it in each of its steps: what it gains is the
        tokens that it will write, times the turns that it leaves behind, times what one of them costs.
        """
        here = fleet.index(home)
        if trajectory.context + trajectory.turn_limit > fleet.capacities[here]:
            return Wait(Reason.KV_FULL)  # it has outgrown its home, and goes to a larger engine
        there = int(np.argmin(np.where(fleet.capacities > 0, fleet.turns, np.inf)))
        fewer = float(fleet.turns[here] - fleet.turns[there])
        is_saved = len(fleet.waiting) > 0 and there == self._saved_for_head
        if not self.migrate or fewer <= MARGIN or is_saved:
            return Place(home, Reason.WARM)
        costs = fleet.costs
        each = costs.decode + costs.read * float(fleet.running_tokens.sum() / fleet.turns.sum())
        gain = fleet.forecast.generated * fewer * each
        if gain < PAYS * costs.prefill_s(trajectory.context) or not self._fitting(trajectory, fleet)[there]:
            return Place(home, Reason.WARM)
        return Place(fleet.ids[there], Reason.MOVED)

    def _break_even_s(self, trajectory: Trajectory, fleet: FleetState) -> float:
        """How long holding a trajectory's KV pays: until the space has cost what its prefill would.

        On an engine of capacity C, holding c tokens for t seconds costs the share c/C of what t seconds of a
        fuller batch are worth; to prefill them costs T(c). They break even at t = C * T(c)/c / worth.
        """
        each_s = fleet.costs.prefill_s(trajectory.context) / max(trajectory.context, 1)
        return float(fleet.capacities.max()) * each_s / self._worth

    def _tune(self, fleet: FleetState) -> None:
        """Set, now and then, what a fuller batch is worth: the share of a step that is there anyway."""
        if fleet.revision - self._tuned < TUNE_EVERY:
            return
        if self._tuned < 0:
            self._raised = np.ones(len(fleet.ids))
        self._tuned = fleet.revision
        alive = max(np.count_nonzero(fleet.capacities), 1)
        worth = fleet.costs.idle_share(fleet.turns.sum() / alive, fleet.running_tokens.sum() / alive)
        self._worth = max(worth, 0.01)


def _is_held(trajectory: Trajectory, since: float) -> bool:
    return trajectory.state is State.HELD and trajectory.since == since


def _size(trajectory: Trajectory) -> tuple[Any, ...]:
    """What decides on where a trajectory fits."""
    return trajectory.shared, trajectory.context, trajectory.turn, trajectory.turn_limit
