"""What a watch of engines' /metrics came to: figures and words.

Times are integer nanoseconds; for every engine the states sum to ``wall_ns`` exactly.
"""

import msgspec

from ..wording import number, share
from .figures import EngineFigures, PageFigures
from .findings import ForeignFinding
from .state import State
from .unknowable import Unknowable

_IDLE = {
    State.IMBALANCE: "while another engine queued",
    State.BLOCKED: "with requests in its own queue",
    State.ASLEEP: "put to sleep",
    State.IDLE: "for a reason that metrics cannot tell",
}


class ForeignProfile(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``every_s`` is the time between readings that was asked for."""

    wall_ns: int
    every_s: float
    engines: list[EngineFigures]
    pages: list[PageFigures]
    findings: list[ForeignFinding]
    unknowable: list[Unknowable]

    @property
    def seen_ns(self) -> int:
        """Engine time between readings that tell what happened in it."""
        return self.wall_ns * len(self.engines) - self._in(State.UNSEEN)

    @property
    def coverage(self) -> float:
        """The share of the engines' time that was seen, 0..1."""
        return self.seen_ns / (self.wall_ns * len(self.engines)) if self.seen_ns else 0.0

    @property
    def verdict(self) -> str:
        """The watch in one sentence."""
        seen = self.seen_ns
        if not seen:
            failures = [f"{page.url}: {page.failure}" for page in self.pages if page.failure]
            return "; ".join(["no engine was seen for any time", *failures])
        idle = sum(self._in(state) for state in State if state.is_idle)
        sentence = f"nothing ran in {share(idle, seen)} of {number(round(seen / 1e9))} engine-seconds seen"
        reasons = [f"{share(ns, seen)} {words}" for state, words in _IDLE.items() if (ns := self._in(state))]
        if reasons:
            sentence += ": " + ", ".join(reasons)
        if full := self._in(State.KV_FULL):
            sentence += f"; requests waited for KV cache in {share(full, seen)}"
        return sentence

    def _in(self, state: State) -> int:
        return sum(engine.states.get(state, 0) for engine in self.engines)
