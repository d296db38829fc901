"""What the last minute of a run was like, from snapshots that were taken along its way.

Knows nothing of events.
"""

from collections import deque

import msgspec

from .snapshot import Snapshot, Spent

WINDOW_NS = 60 * 10**9
STEP_NS = 5 * 10**9


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """The time between two snapshots: ns by engine and cause, and the tokens that each engine wrote."""

    wall_ns: int
    spent: Spent
    written: dict[str, int]

    def per_s(self, engine: str) -> float:
        """Tokens a second of one engine."""
        return self.written.get(engine, 0) / (self.wall_ns / 1e9) if self.wall_ns else 0.0


class Recent:
    """Keeps a snapshot every five seconds of the run's own time, for as long as it is of use."""

    def __init__(self) -> None:
        self._kept: deque[Snapshot] = deque()

    def is_due(self, wall_ns: int) -> bool:
        """Whether another snapshot is wanted."""
        return not self._kept or wall_ns - self._kept[-1].wall_ns >= STEP_NS

    def keep(self, snapshot: Snapshot) -> None:
        """Take one, not earlier than any before."""
        self._kept.append(snapshot)
        while len(self._kept) > 1 and snapshot.wall_ns - self._kept[1].wall_ns >= WINDOW_NS:
            self._kept.popleft()

    def until(self, now: Snapshot) -> Stretch:
        """What came after the one that is a minute old or, so far, the first."""
        return between(self._kept[0], now) if self._kept else between(now, now)


def between(before: Snapshot, now: Snapshot) -> Stretch:
    """What came between two snapshots. An engine that has begun anew counts its tokens from there on."""
    spent: Spent = {}
    for engine, causes in now.spent.items():
        earlier = before.spent.get(engine, {})
        gained = {cause: ns - earlier.get(cause, 0) for cause, ns in causes.items()}
        spent[engine] = {cause: ns for cause, ns in gained.items() if ns}
    written = {engine.id: engine.written for engine in before.engines}
    return Stretch(
        wall_ns=now.wall_ns - before.wall_ns,
        spent=spent,
        written={e.id: max(e.written - written.get(e.id, 0), 0) for e in now.engines},
    )
