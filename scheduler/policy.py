"""What a scheduling policy decides, and what it may look at.

A policy is a small pure object: it is asked where a ready turn goes (or why it has to wait) and which held
trajectories an engine should give up. It reads the core's state and changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import msgspec

from .forecast import GrowthForecast
from .ledger import KvLedger
from .trajectory import State, Trajectory


class Reason(StrEnum):
    """Why a turn was placed where it was, or why it waits. The last three are waits."""

    WARM = "warm"  # its KV is still counted on its home: goes there at once
    RETURNED = "returned"  # admitted again after its KV was given up
    NEW = "new"  # first admission
    KV_FULL = "kv_full"  # no engine has the headroom
    CAP = "cap"  # the policy's limit of concurrent trajectories is reached
    AFFINITY = "affinity_hold"  # there is room, but not on the engine that the policy insists on


class Place(msgspec.Struct, frozen=True):
    """Send the turn to this engine now."""

    engine: str
    reason: Reason


class Wait(msgspec.Struct, frozen=True):
    """Keep the turn in the queue until something changes."""

    reason: Reason


@dataclass
class FleetState:
    """All that a policy may look at. ``last_placed`` says when a new trajectory last went to an engine."""

    ledger: KvLedger
    forecast: GrowthForecast
    trajectories: Mapping[str, Trajectory]
    running: Mapping[str, set[str]]  # engine -> trajectories with a turn on it
    last_placed: Mapping[str, int] = field(default_factory=dict)

    @property
    def engines(self) -> Sequence[str]:
        """The ids of the living engines, the one that a new trajectory went to the longest ago first."""
        return sorted(self.running, key=lambda engine: self.last_placed.get(engine, -1))

    def held(self, engine: str) -> list[Trajectory]:
        """Trajectories counted on the engine."""
        return [self.trajectories[id] for id in self.ledger.held(engine)]

    def waiting_in_tools(self, engine: str) -> list[Trajectory]:
        """Trajectories counted on the engine that have no turn on it."""
        return [t for t in self.held(engine) if t.state is State.HELD]


class Policy(Protocol):
    """Decides placement. Must be deterministic: the same events give the same decisions."""

    @property
    def name(self) -> str:
        """The name under which users select it."""
        ...

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Say where the ready turn of a trajectory goes, or why it waits; a held one must go home."""
        ...

    def park(self, engine: str, fleet: FleetState) -> Sequence[Trajectory]:
        """Say which trajectories in a tool the engine should stop counting, after it grew."""
        ...
