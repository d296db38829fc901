"""What a scheduling policy decides, and what it may look at.

A policy is a small object: it is asked where a ready turn goes (or why it has to wait), in which order
waiting turns are looked at, and which trajectories an engine should stop counting. It reads the fleet's
state, may keep state of its own, and changes nothing else.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import msgspec

from .fleet_state import FleetState
from .trajectory import State, Trajectory


class Reason(StrEnum):
    """Why a turn was placed where it was, or why it waits. The last five are waits."""

    WARM = "warm"  # its KV is still counted on its home: goes there at once
    MOVED = "moved"  # its KV is counted on its home, and another engine is still the better place
    RETURNED = "returned"  # admitted again after its KV was given up
    NEW = "new"  # first admission
    KV_FULL = "kv_full"  # no engine has the headroom
    CAP = "cap"  # the policy's limit of concurrent trajectories is reached
    AFFINITY = "affinity_hold"  # there is room, but not on the engine that the policy insists on
    BARRIER = "barrier"  # the policy lets all trajectories take a turn together
    TICK = "tick"  # the policy decides at fixed times only


class ParkReason(StrEnum):
    """Why the KV of a trajectory between turns is counted no more."""

    FULL = "full"  # its engine grew beyond what it can hold
    TIMER = "timer"  # the policy gave it up as time passed: holding it did not pay any more
    WAITS = "waits"  # its turn is ready, and the policy lets it wait
    MOVED = "moved"  # its turn goes to another engine
    NEW_WEIGHTS = "new_weights"  # the caches were dropped
    ENGINE_LOST = "engine_lost"


class Place(msgspec.Struct, frozen=True):
    """Send the turn to this engine now."""

    engine: str
    reason: Reason


class Wait(msgspec.Struct, frozen=True):
    """Keep the turn in the queue until something changes; ``blocks``: nothing behind it may go before it."""

    reason: Reason
    blocks: bool = True


class Policy(Protocol):
    """Decides placement. Must be deterministic: the same events give the same decisions.

    Subclass it for the defaults: in order of arrival with returned work first, nothing parked, no timer.
    """

    name: ClassVar[str]
    lookahead: ClassVar[int] = 8  # waiting turns that are looked at behind others that wait without blocking

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Say where a ready turn goes, or why it waits. Asked anew after every event while it waits.

        A held trajectory (its KV is counted on its home) that is sent elsewhere, or told to wait, is counted
        there no more.
        """
        ...

    def rank(self, trajectory: Trajectory, fleet: FleetState) -> Any:
        """The key by which waiting turns are ordered; taken as one starts to wait, and after new weights
        (while it is queued still)."""
        return trajectory.state is State.NEW

    def park(self, engine: str, fleet: FleetState) -> Sequence[Trajectory]:
        """Say which trajectories in a tool the engine should stop counting, after it grew."""
        return ()

    def held(self, trajectory: Trajectory, fleet: FleetState, preemptions: int) -> None:
        """Take note that a turn ended, and its trajectory is, for what is known, in a tool now."""

    def ended(self, trajectory: Trajectory, fleet: FleetState) -> None:
        """Take note that a trajectory is over."""

    def wake_at(self, fleet: FleetState) -> float | None:
        """When, on ``fleet.now``'s clock, ``wake`` is to be called even if nothing happens until then."""
        return None

    def wake(self, fleet: FleetState) -> Sequence[Trajectory]:
        """Say which trajectories in a tool should be counted no more; waiting turns are placed after it."""
        return ()
