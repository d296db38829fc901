"""What a played workload came to: an event sink that measures, and the figures that it ends with.

Knows nothing of policies; times are seconds since the workload was submitted.
"""

import itertools
from collections.abc import Sequence

import msgspec

from headway.engine import Engine
from headway.scheduler.events import (
    Event,
    EventSink,
    Parked,
    TrajectoryEnded,
    TurnDispatched,
    TurnEnded,
    TurnReady,
)

from .attribution import Attribution
from .scripted_lengths import place_of
from .workload import Workload


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The figures. Lists are by trajectory, in the order of the workload (groups: by group)."""

    makespan_s: float
    turns: int
    generated: int
    prompt_tokens: int
    cached_tokens: int
    prefill_computed: int
    prefill_recomputed: int  # beyond the first time that each token was computed
    preemptions: int
    parked: int
    first_token_s: list[float]
    completed_s: list[float]
    group_completed_s: list[float]
    admission_wait_s: list[float]  # from ready to dispatched, summed over a trajectory's turns
    engine_queue_s: float  # waits inside the engines, summed over all turns
    idle: dict[str, float]  # share of all engines' time, by cause; "busy" is one of them
    decision_us: float

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens a second."""
        return self.generated / self.makespan_s if self.makespan_s else 0.0

    @property
    def hit_rate(self) -> float:
        """The share of prompt tokens that were found in a cache."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


class Measures:
    """An event sink; ``also`` gets every event too."""

    def __init__(
        self, workload: Workload, engines: Sequence[str], *, start: float, also: EventSink | None = None
    ) -> None:
        self._workload = workload
        self._start_ns = round(start * 1e9)
        self._also = also
        self._attribution = Attribution(engines, self._start_ns)
        self._starts = list(itertools.accumulate((len(g.scripts) for g in workload.groups), initial=0))
        self._first = [0.0] * workload.trajectories
        self._completed = [0.0] * workload.trajectories
        self._waited = [0.0] * workload.trajectories
        self._ready: dict[str, int] = {}
        self._dispatched: dict[str, int] = {}
        self._turns = self._generated = self._prompt = self._cached = self._preempted = self._parked = 0
        self._queued = 0.0

    def emit(self, event: Event) -> None:
        """Take one event."""
        self._attribution.take(event)
        match event:
            case TurnReady():
                self._ready[event.trajectory] = event.t
            case TurnDispatched():
                self._waited[self._index(event.trajectory)] += (event.t - self._ready[event.trajectory]) / 1e9
                self._dispatched[event.trajectory] = event.t
            case TurnEnded():
                self._take_turn(event)
            case Parked():
                self._parked += 1
            case TrajectoryEnded():
                self._completed[self._index(event.trajectory)] = self._since_start(event.t)
            case _:
                pass
        if self._also is not None:
            self._also.emit(event)

    def result(self, engines: Sequence[Engine], *, end: float, decision_us: float) -> Result:
        """The figures, now that the workload has ended."""
        self._attribution.advance(round(end * 1e9))
        computed = self._prompt - self._cached
        return Result(
            makespan_s=max(self._completed, default=0.0),
            turns=self._turns,
            generated=self._generated,
            prompt_tokens=self._prompt,
            cached_tokens=self._cached,
            prefill_computed=computed,
            prefill_recomputed=max(computed - prefill_needed(self._workload), 0),
            preemptions=self._preempted,
            parked=self._parked,
            first_token_s=self._first,
            completed_s=self._completed,
            group_completed_s=[
                max(self._completed[start:stop]) for start, stop in itertools.pairwise(self._starts)
            ],
            admission_wait_s=self._waited,
            engine_queue_s=self._queued,
            idle=self._shares(),
            decision_us=decision_us,
        )

    def _take_turn(self, event: TurnEnded) -> None:
        self._turns += 1
        self._generated += event.generated
        self._prompt += event.prompt
        self._cached += event.cached
        self._preempted += event.preemptions
        self._queued += float(event.queue_s)
        if event.turn == 0:
            dispatched = self._since_start(self._dispatched[event.trajectory])
            self._first[self._index(event.trajectory)] = dispatched + float(event.first_token_s)

    def _shares(self) -> dict[str, float]:
        spent = self._attribution.spent()
        total = len(spent) * self._attribution.wall_ns
        shares: dict[str, float] = {}
        for causes in spent.values():
            for cause, ns in causes.items():
                shares[cause.value] = shares.get(cause.value, 0.0) + ns / total
        return shares

    def _since_start(self, t: int) -> float:
        return (t - self._start_ns) / 1e9

    def _index(self, trajectory: str) -> int:
        group, sibling = place_of(trajectory)
        return self._starts[group] + sibling


def prefill_needed(workload: Workload) -> int:
    """Tokens that any schedule prefills: all that no engine wrote, and the last that it wrote of each turn.

    The system prompt counts once, and so does each group's prompt.
    """
    continued = [t for g in workload.groups for s in g.scripts for t in s.turns[:-1]]
    prompts = workload.system + sum(group.prompt for group in workload.groups)
    return prompts + sum(turn.observed + 1 for turn in continued)
