"""A run over time, from one pass over its events: what engines were at, how full they were, who waited.

Times are ns since the start. The causes of an engine in a bin sum to the bin's width exactly (to the rest of
the time in the last one); levels are integrals, so that a bin's mean is its sum over its width.
Memory is bounded for engines (in bins) and grows by some hundred bytes a turn for trajectories.
Knows nothing of how causes are found or shown.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
import numpy as np

from headway.scheduler.events import EngineChanged, EngineLoad, EngineStarted, Event, PhaseChanged

from .activity import Activity
from .cause import Cause
from .found_events import StageChanged
from .gpu.sample import GpuSample
from .timeline_bins import Amounts, Bins, Levels
from .timeline_lives import TimelineLives

_MOST_BINS = 2_000
_MOST_CELLS = 400_000  # engines x bins
PARTS = 10_000  # of one: levels that are shares are counted in these

Level = Literal["running", "kv", "kv_seen", "ready", "tools", "live", "sm", "sm_seen"]


class Change(msgspec.Struct, frozen=True):
    """From ``t`` on something is another: a phase with its step, a stage, an engine's weight version."""

    t: int
    what: str
    number: int = 0


class Timeline:
    """An event sink, complete after ``finish``; ``on_interval`` is told where each engine's time went."""

    def __init__(self, engines: Iterable[str], start: int) -> None:
        self._engines = dict.fromkeys(engines)
        self.gpus: dict[str, list[str]] = {}  # by engine
        self.phases: list[Change] = []
        self.stages: list[Change] = []
        self.versions: list[Change] = []
        self.lives = TimelineLives(start)
        self.wall_ns = 0
        most = max(2, min(_MOST_BINS, _MOST_CELLS // max(len(self._engines), 1)) // 2 * 2)
        self._start = start
        self._causes: Bins[tuple[str, Cause]] = Bins(start, most=most)
        self._levels: Levels[tuple[Level, str]] = Levels(start, most=most)
        self._activity = Activity(self._engines)
        self._version: dict[str, int] = {}

    def on_interval(self, engine: str, cause: Cause, start: int, end: int) -> None:
        """Take a stretch of one engine's time."""
        self._causes.add((engine, cause), start, end)

    def emit(self, event: Event) -> None:
        """Take one event."""
        self._note_levels(event)
        match event:
            case EngineStarted():
                self._note_engine(event.engine)
                self.gpus[event.engine] = event.gpus
            case EngineLoad():
                self._levels.set(("kv", event.engine), round(event.kv_usage * PARTS), event.t)
                self._levels.set(("kv_seen", event.engine), 1, event.t)
            case EngineChanged():
                self._note_engine(event.engine)
                self._note_version(event)
            case PhaseChanged():
                self.phases.append(Change(event.t - self._start, event.phase, event.step))
            case StageChanged():
                self.stages.append(Change(event.t - self._start, event.stage))
            case GpuSample():
                self._sample(event)
            case _:
                self.lives.emit(event)

    def finish(self, end: int) -> None:
        """There are no more events, and the time ends at ``end``."""
        self.wall_ns = end - self._start
        self._levels.close(end)
        for bins in (self._causes, self._levels.bins):
            bins.reach(end)
        width = max(self._causes.width, self._levels.bins.width)
        for bins in (self._causes, self._levels.bins):
            bins.widen(width)

    @property
    def engines(self) -> list[str]:
        """Those that were there from the start, then those that joined."""
        return list(self._engines)

    @property
    def width(self) -> int:
        """Of a bin, in ns."""
        return self._causes.width

    @property
    def bins(self) -> int:
        """The number of bins; the last one may be cut short by the end."""
        return -(-self.wall_ns // self.width)

    def causes(self, engine: str) -> dict[Cause, Amounts]:
        """An engine's ns by cause and bin, for the causes that it has."""
        rows = self._causes.rows
        return {c: rows[engine, c][: self.bins] for c in Cause if (engine, c) in rows}

    def level(self, level: Level, owner: str = "") -> Amounts:
        """The integral of a level over each bin; ``owner`` is an engine, a GPU, or "" for all."""
        row = self._levels.bins.rows.get((level, owner))
        return np.zeros(self.bins, np.int64) if row is None else row[: self.bins]

    def sampled_gpus(self) -> list[str]:
        """The GPUs whose share of busy SMs is known at some time."""
        return [owner for level, owner in self._levels.bins.rows if level == "sm_seen"]

    def _note_levels(self, event: Event) -> None:
        for engine in self._activity.take(event):
            self._note_engine(engine.id)
            self._levels.set(("running", engine.id), len(engine.turns), event.t)
        self._levels.set(("ready", ""), len(self._activity.waiting), event.t)
        self._levels.set(("tools", ""), len(self._activity.tools), event.t)
        self._levels.set(("live", ""), len(self._activity.live), event.t)

    def _note_engine(self, engine: str) -> None:
        self._engines.setdefault(engine)

    def _note_version(self, event: EngineChanged) -> None:
        version = event.weight_version
        if version is not None and version != self._version.get(event.engine):
            self._version[event.engine] = version
            self.versions.append(Change(event.t - self._start, event.engine, version))

    def _sample(self, event: GpuSample) -> None:
        start = max(event.t - event.span_ns, self._start)
        if event.sm is not None and start < event.t:
            self._levels.bins.add(("sm", event.gpu), start, event.t, level=round(event.sm * PARTS))
            self._levels.bins.add(("sm_seen", event.gpu), start, event.t)
