"""A first reading of a record, for what can only be known afterwards; a second reading then has it in time.

It finds the stages of the work. A wave is a time in which trajectories are live: ramp until each engine that
takes part has had a turn, drain once one of them has had its last. And it finds when a turn prefilled what
had been computed before: its trajectory's tokens after the turn before, less those that were still cached;
the time of the prefill is shared out in proportion. What an engine recomputes within a turn that it preempted
cannot be seen from outside, and is not in it.
Knows nothing of causes.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from headway.scheduler.events import (
    EngineChanged,
    EngineStarted,
    Event,
    LoopLate,
    Noted,
    ToolEnded,
    TrajectoryEnded,
    TrajectoryStarted,
    TurnAbandoned,
    TurnDispatched,
    TurnEnded,
    TurnHeld,
)

from .found_events import Gap, Recomputing, StageChanged, Vanished
from .gpu.sample import GpuFound


@dataclass
class _Wave:
    start: int
    first: dict[str, int] = field(default_factory=dict)  # dispatch, by engine
    last: dict[str, int] = field(default_factory=dict)  # end of a turn, by engine

    def stages(self, end: int) -> Iterator[StageChanged]:
        yield StageChanged(t=self.start, stage="ramp")
        if self.first:
            ramped = max(self.first.values())
            drains = max(min(self.last.get(engine, end) for engine in self.first), ramped)
            yield StageChanged(t=ramped, stage="steady")
            yield StageChanged(t=drains, stage="drain")
        yield StageChanged(t=end, stage="outside")


class Survey:
    """An event sink; afterwards ``events`` has what it found, as events in order of time."""

    def __init__(self) -> None:
        self.engines: dict[str, EngineStarted] = {}
        self.late_ns = 0  # that the event loop was held up, in all
        self._live: set[str] = set()
        self._wave: _Wave | None = None
        self._stages: list[StageChanged] = []
        self._known: dict[str, int] = {}  # tokens computed so far, by trajectory
        self._dispatched: dict[str, int] = {}
        self._recomputing: list[Recomputing] = []
        self._cached: Counter[str] = Counter()  # tokens, by engine
        self._recomputed: Counter[str] = Counter()
        self._suspects: dict[str, int] = {}  # of which events are missing: until when
        self._vanished: list[Vanished] = []
        self.gpus: dict[str, GpuFound] = {}
        self.notes: dict[str, None] = {}  # in order, each once
        self._end = 0

    def emit(self, event: Event) -> None:
        """Take one event."""
        self._end = max(self._end, event.t)
        if self._suspects:
            self._hear(event)
        match event:
            case Gap():
                self._lose_sight(event)
            case LoopLate():
                self.late_ns += event.late_ns
            case EngineChanged(state="weight_sync"):
                self._known.clear()  # the caches go with the old weights, and that is the price of these
            case EngineStarted():
                self.engines[event.engine] = event
            case TrajectoryStarted():
                self._live.add(event.trajectory)
                if self._wave is None:
                    self._wave = _Wave(event.t)
            case TurnDispatched():
                self._dispatched[event.trajectory] = event.t
                if self._wave is not None:
                    self._wave.first.setdefault(event.engine, event.t)
            case TurnEnded():
                self._take_turn(event)
            case TrajectoryEnded():
                self._take_end(event)
            case GpuFound():
                self.gpus[event.gpu] = event
            case Noted():
                self.notes[event.text] = None
            case _:
                pass

    @property
    def recomputed(self) -> dict[str, int]:
        """Tokens computed again, by engine; engines that report no cached tokens are not in it."""
        return {engine: again for engine, again in self._recomputed.items() if self._cached[engine]}

    def events(self) -> list[Event]:
        """The changes of stage, when turns recomputed, and trajectories that are not where they were."""
        stages = list(self._stages)
        if self._wave is not None:
            stages += self._wave.stages(self._end)
        recomputing = [event for event in self._recomputing if self._cached[event.engine]]
        gone = [Vanished(t=until, trajectory=id, live=False) for id, until in self._suspects.items()]
        return sorted([*stages, *recomputing, *self._vanished, *gone], key=lambda event: event.t)

    def _lose_sight(self, gap: Gap) -> None:
        for trajectory in self._live:
            self._suspects[trajectory] = gap.until
        self._live.clear()

    def _hear(self, event: Event) -> None:
        """The first event of a trajectory after a gap says where it was at the gap's end."""
        trajectory = getattr(event, "trajectory", None)
        if trajectory is None or event.t < self._suspects.get(trajectory, event.t + 1):
            return
        until = self._suspects.pop(trajectory)
        if not isinstance(event, TrajectoryEnded):
            self._live.add(trajectory)
        if not isinstance(event, TurnEnded | TurnAbandoned | TurnHeld | TurnDispatched | ToolEnded):
            self._vanished.append(Vanished(t=until, trajectory=trajectory, live=True))

    def _take_turn(self, event: TurnEnded) -> None:
        if self._wave is not None:
            self._wave.last[event.engine] = event.t
        start = self._dispatched.pop(event.trajectory, None)
        known = self._known.get(event.trajectory, 0)
        self._known[event.trajectory] = event.prompt + event.generated
        self._cached.update({event.engine: event.cached})
        again = min(known, event.prompt) - event.cached
        if start is None or again <= 0:
            return
        self._recomputed[event.engine] += again
        prefill_s = max(event.first_token_s - event.queue_s, 0.0)
        begins = start + round(event.queue_s * 1e9)
        ends = begins + round(prefill_s * 1e9 * again / max(event.prompt - event.cached, 1))
        ends = min(ends, event.t)
        if begins < ends:
            for t, on in ((begins, True), (ends, False)):
                self._recomputing.append(
                    Recomputing(t=t, trajectory=event.trajectory, engine=event.engine, on=on)
                )

    def _take_end(self, event: TrajectoryEnded) -> None:
        self._known.pop(event.trajectory, None)
        self._dispatched.pop(event.trajectory, None)
        self._live.discard(event.trajectory)
        if not self._live and self._wave is not None:
            self._stages += self._wave.stages(event.t)
            self._wave = None
