"""The engines, the fleet and the scheduler's decisions as tracks of a trace.

Invariant: the slices of an engine's track "cause" are its stretches of one cause, to the nanosecond.
Knows nothing of trajectories' lives.
"""

from collections.abc import Mapping, Sequence

from headway.scheduler.events import (
    EngineChanged,
    EngineLoad,
    EngineStarted,
    Event,
    Parked,
    PhaseChanged,
    TurnDispatched,
    TurnHeld,
)

from ..activity import Activity
from ..cause import Cause
from ..found_events import StageChanged
from ..gpu.sample import GpuSample
from .trace_file import Argument, TraceFile

FLEET = ""  # the owner of what is no engine's
_NAMED = 10  # trajectories, of those that are decided on alike at one moment


class EngineTracks:
    """An event sink; ``on_interval`` takes each engine's stretches of one cause. ``finish`` ends it."""

    def __init__(
        self, trace: TraceFile, facts: Mapping[str, EngineStarted], *, engines: Sequence[str], start: int
    ) -> None:
        self._trace = trace
        self._start = start
        self._groups: dict[str, int] = {}
        self._tracks: dict[tuple[str, str], int] = {}
        self._values: dict[int, float] = {}
        self._open: dict[int, tuple[str, int]] = {}  # what goes on, and since when, by track
        self._owners: dict[str, list[str]] = {}
        self._decided: dict[tuple[int, str], list[str]] = {}  # who, by track and what, at one moment
        self._moment = 0
        for engine in engines:
            self._track(engine, "cause")  # above all others
        for engine, fact in facts.items():
            for gpu in fact.gpus:
                self._owners.setdefault(gpu, []).append(engine)

    def on_interval(self, engine: str, cause: Cause, start: int, end: int) -> None:
        """Take a stretch of one engine's time."""
        self._trace.slice(self._track(engine, "cause"), cause, start - self._start, end - self._start)

    def emit(self, event: Event) -> None:
        """Take one event."""
        t = event.t - self._start
        match event:
            case EngineLoad():
                self._count(event.engine, "KV %", t, event.kv_usage * 100)
                self._count(event.engine, "running", t, event.running)
                self._count(event.engine, "queued", t, event.waiting)
            case EngineChanged():
                self._turn_to(self._track(event.engine, "state"), event.state, t)
                if event.weight_version is not None:
                    self._note_version(event.engine, event.weight_version, t)
            case TurnDispatched():
                self._decide(event.engine, f"dispatch: {event.reason}", event.trajectory, t)
            case Parked():
                self._decide(event.engine, f"parked: {event.reason}", event.trajectory, t)
            case TurnHeld():
                self._decide(FLEET, f"held: {event.reason}", event.trajectory, t)
            case PhaseChanged():
                self._turn_to(self._track(FLEET, "phase"), event.phase, t)
            case StageChanged():
                self._turn_to(self._track(FLEET, "stage"), event.stage, t)
            case GpuSample():
                self._sample(event)
            case _:
                pass

    def note(self, activity: Activity, t: int) -> None:
        """Count what trajectories are at from ``t`` on."""
        t -= self._start
        self._count(FLEET, "turns ready", t, len(activity.waiting))
        self._count(FLEET, "in tools", t, len(activity.tools))
        self._count(FLEET, "trajectories", t, len(activity.live))

    def finish(self, end: int) -> None:
        """End all that goes on."""
        self._write_decisions()
        for track, (name, since) in self._open.items():
            self._trace.slice(track, name, since, end - self._start)

    def group(self, owner: str) -> int:
        """The group of an engine's tracks, or of the fleet's."""
        if owner not in self._groups:
            self._groups[owner] = self._trace.group(owner or "fleet")
        return self._groups[owner]

    def _track(self, engine: str, name: str) -> int:
        if (engine, name) not in self._tracks:
            self._tracks[engine, name] = self._trace.track(name, self.group(engine))
        return self._tracks[engine, name]

    def _count(self, engine: str, name: str, t: int, value: float) -> None:
        if (engine, name) not in self._tracks:
            unit = "%" if "%" in name else ""
            self._tracks[engine, name] = self._trace.counter(name, self.group(engine), unit=unit)
        track = self._tracks[engine, name]
        if self._values.get(track) != value:
            self._values[track] = value
            self._trace.count(track, t, value)

    def _turn_to(self, track: int, name: str, t: int) -> None:
        before, since = self._open.get(track, ("", 0))
        if before == name:
            return
        if before:
            self._trace.slice(track, before, since, t)
        self._open[track] = name, t

    def _note_version(self, engine: str, version: int, t: int) -> None:
        track = self._track(engine, "weights")
        if self._values.get(track) != version:
            self._values[track] = version
            self._trace.instant(track, f"version {version}", t)

    def _decide(self, engine: str, what: str, trajectory: str, t: int) -> None:
        """Decisions of one moment that are alike are one mark, since marks would be stacked."""
        if t > self._moment:
            self._write_decisions()
            self._moment = t
        self._decided.setdefault((self._track(engine, "decisions"), what), []).append(trajectory)

    def _write_decisions(self) -> None:
        for (track, what), who in self._decided.items():
            arguments: dict[str, Argument] = {"trajectories": ", ".join(who[:_NAMED]), "count": len(who)}
            self._trace.instant(track, what, self._moment, arguments=arguments)
        self._decided.clear()

    def _sample(self, sample: GpuSample) -> None:
        """A sample is the mean over a span: the counter has its value from the span's start on."""
        t = max(sample.t - sample.span_ns - self._start, 0)
        for owner in self._owners.get(sample.gpu, [f"GPU {sample.gpu}"]):
            if sample.sm is not None:
                self._count(owner, f"SM %, {sample.gpu}", t, sample.sm * 100)
            if sample.power_w is not None:
                self._count(owner, f"power W, {sample.gpu}", t, sample.power_w)
