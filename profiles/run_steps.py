"""The steps that the engines of a recorded run took, and what the run's log says of those engines.

They record in a folder ``steps`` beside the event log, all attempts of a run in the same one; the log's
clock, the event loop's, is the machine's monotonic clock, which the steps have too.
Knows nothing of fits.
"""

import statistics
from pathlib import Path

import msgspec

from headway.engine.step_record import SUFFIX, StepRecord
from headway.errors import InputError
from headway.scheduler.events import EngineChanged, EngineStarted, Event, TurnDispatched, TurnEnded

from .calibration import StepRun, steps_between
from .event_log import Reader
from .run_logs import event_log

STEPS = "steps"


class RunSteps(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of all engines of a run, in no order. ``weight_update_s`` is the median of its updates.

    ``turns`` of the run were on engines for ``turn_s`` seconds in all, by the scheduler's account.
    """

    name: str
    model: str
    engines: list[EngineStarted]
    steps: list[StepRecord]
    turns: int = 0
    turn_s: float = 0.0
    weight_update_s: float | None = None

    @property
    def under_way_s(self) -> float:
        """Seconds of a turn in which no step worked on it, and it did not wait for one either: its way to the
        engine and back, which simulated engines do not have."""
        in_steps = sum(s.seconds * (s.decode + (s.prefill > 0) + s.waiting) for s in self.steps)
        return max(self.turn_s - in_steps, 0.0) / self.turns if self.turns else 0.0

    def spans(self, count: int) -> list[StepRun]:
        """Cut into ``count`` spans of the same length in time; those without a step are left out."""
        began = min(step.t for step in self.steps)
        length = max((max(step.t for step in self.steps) - began) / count, 1e-9)
        spans: list[list[StepRecord]] = [[] for _ in range(count)]
        for step in self.steps:
            spans[min(int((step.t - began) / length), count - 1)].append(step)
        return [
            StepRun(f"{self.name}, span {number} of {count}", steps)
            for number, steps in enumerate(spans, 1)
            if steps
        ]


def steps_folder(log: Path) -> Path:
    """Where the engines of a run record their steps."""
    return log.parent / STEPS


def has_steps(log: Path) -> bool:
    """Whether steps are recorded beside an event log."""
    return any(steps_folder(log).glob(f"*{SUFFIX}"))


def read_run_steps(source: Path, attempt: int | None = None) -> RunSteps:
    """Read a run folder (its last attempt, unless told otherwise) or an event log, and the steps beside it.

    Raises ``InputError`` where there are none, or the log does not say what its engines are made of.
    """
    log = event_log(source, attempt)
    if not has_steps(log):
        raise InputError(
            f"{log}: no steps are recorded beside it ({steps_folder(log)}); run with step_record = true in "
            "[engines], or with headway rollout --events FILE --step-record"
        )
    reader, seen = Reader(log), _Seen()
    for event in reader:
        seen.emit(event)
    if not seen.engines:
        raise InputError(f"{log}: does not say what its engines are made of; it is of an older headway")
    steps = steps_between(steps_folder(log), reader.header.t / 1e9, reader.end / 1e9 + 1)
    if not steps:
        raise InputError(f"{steps_folder(log)}: no step in it is of the time of {log.name}")
    return RunSteps(
        name=source.resolve().name,
        model=reader.header.model,
        engines=list(seen.engines.values()),
        steps=steps,
        turns=seen.turns,
        turn_s=seen.turn_ns / 1e9,
        weight_update_s=statistics.median(seen.updates) if seen.updates else None,
    )


class _Seen:
    """An event sink for what a log says of its engines."""

    def __init__(self) -> None:
        self.engines: dict[str, EngineStarted] = {}
        self.updates: list[float] = []  # seconds
        self.turns = self.turn_ns = 0
        self._updating: dict[str, int] = {}
        self._dispatched: dict[str, int] = {}

    def emit(self, event: Event) -> None:
        match event:
            case EngineStarted():
                self.engines[event.engine] = event
            case EngineChanged(state="weight_sync"):
                self._updating[event.engine] = event.t
            case EngineChanged(state="ready") if event.engine in self._updating:
                self.updates.append((event.t - self._updating.pop(event.engine)) / 1e9)
            case TurnDispatched():
                self._dispatched[event.trajectory] = event.t
            case TurnEnded() if event.trajectory in self._dispatched:
                self.turns += 1
                self.turn_ns += event.t - self._dispatched.pop(event.trajectory)
            case _:
                pass
