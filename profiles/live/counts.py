"""What the engines of a run have done so far, counted from its events.

Invariant: what is kept grows with the number of engines, never with that of trajectories. Knows nothing of
time, nor of why engines idle.
"""

from collections import defaultdict
from dataclasses import dataclass

from headway.scheduler.events import (
    EngineChanged,
    EngineLoad,
    Event,
    PhaseChanged,
    TrajectoryEnded,
    TurnEnded,
)


@dataclass
class EngineCounts:
    """One engine: sums over the turns that have ended on it, and what it last said of itself.

    ``written`` counts tokens as they come, where the engine says so; ``generated`` those of ended turns.
    """

    turns: int = 0
    generated: int = 0
    preemptions: int = 0
    written: int = 0
    kv_usage: float = 0.0
    weight_version: int | None = None


class Counts:
    """An event sink."""

    def __init__(self) -> None:
        self.engines: defaultdict[str, EngineCounts] = defaultdict(EngineCounts)
        self.events = 0
        self.finished = 0
        self.failed = 0
        self.step = 0

    def emit(self, event: Event) -> None:
        """Take one event."""
        self.events += 1
        match event:
            case TurnEnded():
                engine = self.engines[event.engine]
                engine.turns += 1
                engine.generated += event.generated
                engine.preemptions += event.preemptions
            case EngineLoad():
                self.engines[event.engine].kv_usage = event.kv_usage
                self.engines[event.engine].written = event.generated
            case EngineChanged(weight_version=int(version)):
                self.engines[event.engine].weight_version = version
            case TrajectoryEnded():
                self.finished += event.status == "finished"
                self.failed += event.status != "finished"
            case PhaseChanged():
                self.step = event.step
            case _:
                pass
