"""Makes a profile of a record, in two readings: one for what is known afterwards only, one for the account.

Invariant: every event of the record is taken once, in order; other sinks may go along on the second reading.
Knows nothing of how a profile is shown.
"""

import statistics
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headway.scheduler.events import Event, EventSink, PhaseChanged, TurnDispatched, TurnEnded

from .attribution import Attribution
from .cause import Cause
from .event_log import Header, Reader
from .findings import find
from .found_events import StageChanged
from .gpu.sample import GpuSample
from .gpu_time import GpuTime
from .in_time import in_time
from .labels import Labels
from .lives import Lives
from .profile import Causes, EngineProfile, Profile
from .stretches import OnInterval
from .survey import Survey

_LEAST_TOKENS = 8  # of a turn that says something of an engine's speed
_LEAST_TURNS = 6  # such turns, of an engine whose speed can be told

OnProgress = Callable[[int], None]


@dataclass
class _Turns:
    """An engine's turns, added up."""

    turns: int = 0
    generated: int = 0
    prompt: int = 0
    cached: int = 0
    preemptions: int = 0
    token_s: "array[float]" = field(default_factory=lambda: array("d"))


class Profiler:
    """An event sink for the second reading; ``profile`` then has the figures."""

    def __init__(self, header: Header, survey: Survey, *, on_interval: OnInterval | None = None) -> None:
        self._header = header
        self._survey = survey
        self._attribution = Attribution(header.engines, header.t, on_interval=on_interval)
        self._phases = Labels(self._attribution, "idle")
        self._stages = Labels(self._attribution, "outside")
        self._lives = Lives(header.t)
        self._gpus = GpuTime(self._attribution, survey, start=header.t, own_pid=header.pid)
        self._engines: defaultdict[str, _Turns] = defaultdict(_Turns)
        self._dispatched: dict[str, int] = {}

    def emit(self, event: Event) -> None:
        """Take one event."""
        self._attribution.take(event)
        match event:
            case GpuSample():
                self._gpus.take(event)
            case PhaseChanged():
                self._phases.change(event.phase)
            case StageChanged():
                self._stages.change(event.stage)
            case _:
                self._lives.emit(event)
                self._take_turn(event)

    def profile(self, source: str, *, end: int, complete: bool, notes: Sequence[str] = ()) -> Profile:
        """The profile of all events taken, up to ``end``."""
        self._attribution.advance(end)
        self._attribution.close()
        engines = self._engine_profiles()
        held = {str(cause): ns for cause, ns in self._attribution.held().items()}
        return Profile(
            source=source,
            model=self._header.model,
            policy=self._header.policy,
            wall_ns=self._attribution.wall_ns,
            complete=complete,
            engines=engines,
            phases=_plain(self._phases.spent()),
            stages=_plain(self._stages.spent()),
            trajectories=self._lives.started,
            finished=self._lives.finished,
            failed=self._lives.failed,
            turns=sum(engine.turns for engine in engines),
            generated=sum(engine.generated for engine in engines),
            spent=dict(self._lives.spent),
            held=held,
            findings=find(
                engines,
                self._attribution.wall_ns,
                held,
                dict(self._lives.spent),
                late_ns=self._survey.late_ns,
            ),
            slowest=self._lives.slowest(end),
            gpus=self._gpus.profiles(end),
            contradictions=self._gpus.contradictions(),
            notes=list(notes),
        )

    def _take_turn(self, event: Event) -> None:
        match event:
            case TurnDispatched():
                self._dispatched[event.trajectory] = event.t
            case TurnEnded():
                turns = self._engines[event.engine]
                turns.turns += 1
                turns.generated += event.generated
                turns.prompt += event.prompt
                turns.cached += event.cached
                turns.preemptions += event.preemptions
                start = self._dispatched.pop(event.trajectory, None)
                if start is not None and event.generated >= _LEAST_TOKENS:
                    decoding = (event.t - start) / 1e9 - event.first_token_s
                    turns.token_s.append(decoding / (event.generated - 1))
            case _:
                pass

    def _engine_profiles(self) -> list[EngineProfile]:
        account = self._attribution
        otherwise, under_fill, batches = account.otherwise(), account.under_fill(), account.batches()
        profiles: list[EngineProfile] = []
        for id, causes in account.spent().items():
            turns, facts = self._engines[id], self._survey.engines.get(id)
            running_ns, most = batches[id]
            profiles.append(
                EngineProfile(
                    id=id,
                    causes={str(cause): ns for cause, ns in causes.items()},
                    otherwise=_plain({str(cause): next for cause, next in otherwise[id].items()}),
                    under_fill={str(cause): ns for cause, ns in under_fill[id].items()},
                    turns=turns.turns,
                    generated=turns.generated,
                    prompt=turns.prompt,
                    cached=turns.cached,
                    recomputed=self._survey.recomputed.get(id, 0),
                    preemptions=turns.preemptions,
                    seconds_per_token=_speed(turns.token_s),
                    kv_tokens=facts.kv_tokens if facts else None,
                    max_running=most,
                    mean_running=running_ns / busy if (busy := account.busy_ns(id)) else 0.0,
                    sm_idle_ns=self._gpus.idle.get(id),
                    sm_seen_ns=self._gpus.covered.get(id),
                )
            )
        return profiles


def _speed(token_s: "array[float]") -> float | None:
    """Seconds a token takes in the middle one of an engine's turns; None where they are too few to tell."""
    return statistics.median(token_s) if len(token_s) >= _LEAST_TURNS else None


def profile_log(
    path: Path,
    *,
    on_interval: OnInterval | None = None,
    sinks: Sequence[EventSink] = (),
    on_progress: OnProgress = lambda events: None,
) -> Profile:
    """Profile one event log. ``sinks`` get its events too; ``on_progress`` is told how many were read so far.

    Raises ``InputError`` for a file that is no event log.
    """
    reader, survey = Reader(path), Survey()
    count = 0
    for event in reader:
        survey.emit(event)
        count += 1
        if count % 10_000 == 0:
            on_progress(count)
    profiler = Profiler(reader.header, survey, on_interval=on_interval)
    for number, event in enumerate(in_time(reader, survey.events()), count):
        profiler.emit(event)
        for sink in sinks:
            sink.emit(event)
        if number % 10_000 == 0:
            on_progress(number)
    notes = [*_notes(reader), *survey.notes]
    return profiler.profile(str(path), end=reader.end, complete=reader.closed, notes=notes)


def _notes(reader: Reader) -> list[str]:
    notes: list[str] = []
    if reader.torn:
        notes.append("the last line is torn: its writer died, and what came after it is not known")
    if not reader.closed and not reader.torn and reader.header.version > 1:
        notes.append("the log was not closed: the run goes on, or was killed")
    if reader.lost:
        notes.append(f"{reader.lost:,} events are missing; the time around them is unattributed")
    return notes


def _plain(spent: Mapping[str, Mapping[Cause, int]]) -> dict[str, Causes]:
    return {label: {str(cause): ns for cause, ns in causes.items()} for label, causes in spent.items()}
