"""Consistent hash: a trajectory's id decides on its engine, by a ring on which each engine has many points.

The policy of that name in vllm-router 0.1.17: 160 points an engine, the first point at or after the hash
of the session's id owns it; when an engine is lost only its sessions move. Load plays no part, and
nothing ever waits here.
Simplified: the hash is BLAKE2b (vllm-router: a MurmurHash64A of FurcHash), so the ring is another one, of
the same kind; and where the owner cannot hold the turn at all, the next owner on the ring gets it.
"""

import bisect
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from headway.errors import InputError

from ..fleet_state import FleetState
from ..policy import Place, Policy, Wait
from ..trajectory import Trajectory
from .placing import able, send


class HashRing:
    """Points of engines on a ring of hashes."""

    def __init__(self, points: int) -> None:
        self._points = points  # for each engine
        self._engines: tuple[str, ...] = ()
        self._ring: list[tuple[int, str]] = []

    def owner(self, id: str, engines: Sequence[str]) -> str:
        """Of the engines, the one whose point comes first at or after the id's hash."""
        if tuple(engines) != self._engines:
            self._engines = tuple(engines)
            self._ring = sorted((_hash(f"{e}:{point}"), e) for e in engines for point in range(self._points))
        position = bisect.bisect_left(self._ring, (_hash(id), ""))
        return self._ring[position % len(self._ring)][1]


@dataclass(kw_only=True)
class ConsistentHash(Policy):
    """The engine that owns the trajectory's id."""

    name: ClassVar[str] = "consistent_hash"

    points: int = 160  # on the ring, for each engine

    _ring: HashRing = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.points < 1:
            raise InputError(f"policy consistent_hash: points={self.points}; an engine needs 1 or more")
        self._ring = HashRing(self.points)

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send the turn to the owner of the trajectory's id."""
        return send(trajectory, self._ring.owner(trajectory.id, able(trajectory, fleet.engines, fleet)))


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
