"""Feels the pulse of engines: an event sink in front of another that adds what engines say of themselves.

Every so often each engine's load goes in as an event, where it has changed; an engine with turns on it whose
account of itself has not changed for far longer than any of its steps took is ``stalled`` until it changes. A
look that comes late says that the event loop was held up.
Invariant: every event is passed on, in order. Knows nothing of why an engine stands still.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from headway.engine import Engine, EngineError, EngineStats

from .events import (
    EngineChanged,
    EngineLoad,
    Event,
    EventSink,
    LoopLate,
    TrajectoryEnded,
    TurnAbandoned,
    TurnDispatched,
    TurnEnded,
    now_ns,
)

STALL_S = 2.0  # the least time without a step that counts as a stall
SLOWEST = 4.0  # times the longest time that a step has taken
LEARNED_S = 10.0  # at most, for what ends as a step may have been a stall
LATE_S = 0.25  # that the event loop has to be late to be told


@dataclass
class EnginePulse:
    """One engine: its state, the turns on it, and when it was last seen to move."""

    state: str = "ready"
    turns: set[str] = field(default_factory=set)
    stats: EngineStats | None = None
    moved: int = 0
    longest: int = 0  # ns between two moves

    def observe(self, now: int, stats: EngineStats) -> bool:
        """Take in what the engine says at ``now``; whether it stands still."""
        if stats != self.stats or not self.turns:
            if self.turns and self.stats is not None:
                self.longest = max(self.longest, min(now - self.moved, round(LEARNED_S * 1e9)))
            self.moved = now
        self.stats = stats
        return now - self.moved > max(STALL_S * 1e9, SLOWEST * self.longest)


class Pulse:
    """Takes the scheduler's events on their way to ``sink``, and watches the engines."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._engines: dict[str, EnginePulse] = {}
        self._on: dict[str, str] = {}

    def emit(self, event: Event) -> None:
        """Pass one event on."""
        match event:
            case EngineChanged():
                pulse = self._engines.setdefault(event.engine, EnginePulse())
                pulse.state, pulse.moved = event.state, event.t
            case TurnDispatched():
                self._join(event)
            case TurnEnded() | TurnAbandoned() | TrajectoryEnded():
                if (engine := self._on.pop(event.trajectory, None)) is not None:
                    self._engines[engine].turns.discard(event.trajectory)
            case _:
                pass
        self._sink.emit(event)

    def observe(self, engine: str, stats: EngineStats, now: int) -> None:
        """Take in what an engine says of itself, and tell what is new."""
        pulse = self._engines.setdefault(engine, EnginePulse())
        if pulse.state not in ("ready", "stalled"):
            return
        if stats != pulse.stats:
            self._sink.emit(load(engine, stats, now))
        state = "stalled" if pulse.observe(now, stats) else "ready"
        if state == "stalled" and pulse.state == "ready":
            self._sink.emit(EngineChanged(t=now, engine=engine, state="stalled"))
        elif state == "ready" and pulse.state == "stalled":
            self._sink.emit(EngineChanged(t=now, engine=engine, state="ready"))
        pulse.state = state

    @contextlib.asynccontextmanager
    async def watching(self, engines: Sequence[Engine], *, every_s: float = 0.5) -> AsyncIterator[None]:
        """Ask the engines every so often while the body runs."""

        async def watch() -> None:
            while True:
                due = now_ns() + round(every_s * 1e9)
                await asyncio.sleep(every_s)
                if (late := now_ns() - due) > LATE_S * 1e9:
                    self._sink.emit(LoopLate(t=now_ns(), late_ns=late))
                for engine in engines:
                    with contextlib.suppress(EngineError):  # whoever runs a turn there is told
                        self.observe(engine.info.id, engine.stats(), now_ns())

        watcher = asyncio.create_task(watch())
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])
            if not watcher.cancelled():
                watcher.result()  # what ended it before

    def _join(self, event: TurnDispatched) -> None:
        pulse = self._engines.setdefault(event.engine, EnginePulse())
        if not pulse.turns:
            pulse.moved = event.t  # before, there was nothing to do
        pulse.turns.add(event.trajectory)
        self._on[event.trajectory] = event.engine


def load(engine: str, stats: EngineStats, now: int) -> EngineLoad:
    """An engine's account of itself as an event."""
    return EngineLoad(
        t=now,
        engine=engine,
        running=stats.running,
        waiting=stats.waiting,
        kv_usage=stats.kv_usage,
        steps=stats.steps,
        generated=stats.generated_tokens,
        prefilled=stats.prompt_tokens - stats.cached_tokens,
    )
