"""A first reading of a record, for what can only be known afterwards; a second reading then has it in time.

It finds the stages of the work. A wave is a time in which trajectories are live: ramp until each engine that
takes part has had a turn, drain once one of them has had its last. And it finds when a turn prefilled what
had been computed before: its trajectory's tokens after the turn before, less those that were still cached;
the time of the prefill is shared out in proportion. What an engine recomputes within a turn that it preempted
cannot be seen from outside, and is not in it.
Knows nothing of causes.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from headway.scheduler.events import (
    EngineStarted,
    Event,
    Noted,
    TrajectoryEnded,
    TrajectoryStarted,
    TurnDispatched,
    TurnEnded,
)

from .activity import Recomputing
from .gpu.sample import GpuFound, GpuSample

Stage = Literal["outside", "ramp", "steady", "drain"]


class StageChanged(Event, frozen=True, kw_only=True):
    """The work is in another stage from now on."""

    stage: Stage


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
        self.recomputed: dict[str, int] = {}  # tokens, by engine
        self._live: set[str] = set()
        self._wave: _Wave | None = None
        self._stages: list[StageChanged] = []
        self._known: dict[str, int] = {}  # tokens computed so far, by trajectory
        self._dispatched: dict[str, int] = {}
        self._recomputing: list[Recomputing] = []
        self.gpus: dict[str, GpuFound] = {}
        self.samples: list[GpuSample] = []
        self.notes: dict[str, None] = {}  # in order, each once
        self._end = 0

    def emit(self, event: Event) -> None:
        """Take one event."""
        self._end = max(self._end, event.t)
        match event:
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
            case GpuSample():
                self.samples.append(event)
            case Noted():
                self.notes[event.text] = None
            case _:
                pass

    def events(self) -> list[Event]:
        """The changes of stage, when turns recomputed, and the samples of GPUs, which arrive late."""
        stages = list(self._stages)
        if self._wave is not None:
            stages += self._wave.stages(self._end)
        return sorted([*stages, *self._recomputing, *self.samples], key=lambda event: event.t)

    def _take_turn(self, event: TurnEnded) -> None:
        if self._wave is not None:
            self._wave.last[event.engine] = event.t
        start = self._dispatched.pop(event.trajectory, None)
        known = self._known.get(event.trajectory, 0)
        self._known[event.trajectory] = event.prompt + event.generated
        again = min(known, event.prompt) - event.cached
        if start is None or again <= 0:
            return
        self.recomputed[event.engine] = self.recomputed.get(event.engine, 0) + again
        prefill_s = max(event.first_token_s - event.queue_s, 0.0)
        begins = start + round(event.queue_s * 1e9)
        ends = begins + round(prefill_s * 1e9 * again / max(event.prompt - event.cached, 1))
        if begins < ends < event.t:
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


def in_time(events: Iterable[Event], found: Iterable[Event]) -> Iterator[Event]:
    """Both in order of time; what was found comes after the events of the same moment."""
    recorded = (event for event in events if not isinstance(event, GpuSample))
    return heapq.merge(recorded, found, key=lambda event: event.t)
