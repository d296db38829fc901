"""What a router believes each engine has cached: the prefixes of the requests that it sent there.

The equivalent of the radix tree over request texts in the routers of SGLang and vLLM, exact for contexts
that have in common the segments that they declare and nothing else: a trajectory matches an engine in its
own context at its last turn there, or else in the leading segments that any request sent there began
with. As in the routers, an engine's evictions are not seen, and what a turn generated is known only once
it is part of the next request. Bounded: of the shared segments, each engine's latest ``KEPT`` are
remembered; a trajectory's own until it ends.
"""

from collections.abc import Sequence

from ..ledger import Segment
from ..trajectory import Trajectory

KEPT = 65_536


class RoutedPrefixes:
    """Remembers what was sent where. Sizes are in tokens."""

    def __init__(self) -> None:
        self._segments: dict[str, dict[tuple[Segment, ...], int]] = {}  # when sent, as a count
        self._contexts: dict[str, dict[str, int]] = {}  # by trajectory, then engine
        self._sent = 0

    def matched(self, trajectory: Trajectory, engine: str) -> int:
        """Leading tokens of the trajectory's context that the engine has been sent."""
        own = self._contexts.get(trajectory.id, {}).get(engine, 0)
        known = self._segments.get(engine, {})
        shared = 0
        for length, segment in enumerate(trajectory.shared, start=1):
            if trajectory.shared[:length] not in known:
                break
            shared = segment.end
        return min(max(own, shared), trajectory.context)

    def best(self, trajectory: Trajectory, engines: Sequence[str]) -> tuple[str, int]:
        """The engine that was sent most of the context, of several the latest; and how much."""
        matched = {engine: self.matched(trajectory, engine) for engine in engines}
        longest = max(matched.values())
        candidates = [engine for engine in engines if matched[engine] == longest]
        return max(candidates, key=lambda e: self._latest(trajectory, e, longest)), longest

    def _latest(self, trajectory: Trajectory, engine: str, length: int) -> int:
        known = self._segments.get(engine, {})
        paths = (trajectory.shared[:n] for n, s in enumerate(trajectory.shared, start=1) if s.end == length)
        return max((known.get(path, 0) for path in paths), default=0)

    def sent(self, trajectory: Trajectory, engine: str) -> None:
        """Take note that the trajectory's context as it is now was sent to the engine."""
        self._sent += 1
        self._contexts.setdefault(trajectory.id, {})[engine] = trajectory.context
        known = self._segments.setdefault(engine, {})
        for length in range(1, len(trajectory.shared) + 1):
            known.pop(trajectory.shared[:length], None)
            known[trajectory.shared[:length]] = self._sent
        while len(known) > KEPT:
            del known[next(iter(known))]

    def forget(self, trajectory: Trajectory) -> None:
        """Forget a trajectory that is over; what it shared with others stays."""
        self._contexts.pop(trajectory.id, None)
