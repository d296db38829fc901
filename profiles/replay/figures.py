"""What a run came to, from its events alone: so a recorded run and a replay of it are measured alike.

The clock runs from the first trajectory's start to the end of the last turn: what follows (a reward, new
weights) is no part of a replay. Knows nothing of where events come from.
"""

import itertools
from collections.abc import Iterable

import msgspec

from headway.scheduler.events import Event, TrajectoryStarted, TurnDispatched, TurnEnded

from ..attribution import Attribution
from ..bench.row import quantile
from ..cause import Cause


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures. ``idle`` is the share of all engines' time by cause, ``busy`` among them; first tokens
    count from the start of their trajectory."""

    makespan_s: float
    turns: int
    generated: int
    prompt: int
    cached: int
    preemptions: int
    first_token_p50_s: float
    first_token_p99_s: float
    idle: dict[str, float]

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens a second."""
        return self.generated / self.makespan_s if self.makespan_s else 0.0

    @property
    def hit_rate(self) -> float:
        """The share of prompt tokens that were found in a cache."""
        return self.cached / self.prompt if self.prompt else 0.0

    @property
    def idle_share(self) -> float:
        """The share of all engines' time in which they were not busy."""
        return sum(share for cause, share in self.idle.items() if not Cause(cause).is_busy)


class Tally:
    """An event sink; ``figures`` then has what its events came to."""

    def __init__(self, engines: Iterable[str]) -> None:
        self._engines = list(engines)
        self._attribution: Attribution | None = None
        self._start: int | None = None
        self._end = 0
        self._before: dict[Cause, int] = {}
        self._held_back: list[Event] = []  # since the latest end of a turn: they may lie behind the last one
        self._started: dict[str, int] = {}
        self._dispatched: dict[str, int] = {}
        self._first: list[float] = []
        self._turns = self._generated = self._prompt = self._cached = self._preempted = 0

    def emit(self, event: Event) -> None:
        """Take one event."""
        self._held_back.append(event)
        if isinstance(event, TurnEnded):
            for each in self._held_back:
                self._take(each)
            self._held_back.clear()
            self._end = event.t

    def figures(self) -> Figures:
        """The figures of all turns that have ended."""
        spent = self._spent()
        passed = {cause: ns - self._before.get(cause, 0) for cause, ns in spent.items()}
        total = sum(passed.values())
        return Figures(
            makespan_s=(self._end - (self._start or 0)) / 1e9,
            turns=self._turns,
            generated=self._generated,
            prompt=self._prompt,
            cached=self._cached,
            preemptions=self._preempted,
            first_token_p50_s=quantile(self._first, 0.5),
            first_token_p99_s=quantile(self._first, 0.99),
            idle={cause.value: ns / total for cause, ns in passed.items() if ns},
        )

    def _take(self, event: Event) -> None:
        if self._attribution is None:
            self._attribution = Attribution(self._engines, event.t)
        self._attribution.take(event)
        match event:
            case TrajectoryStarted():
                self._started[event.trajectory] = event.t
                if self._start is None:
                    self._start, self._before = event.t, self._spent()
            case TurnDispatched():
                self._dispatched[event.trajectory] = event.t
            case TurnEnded():
                self._take_turn(event)
            case _:
                pass

    def _take_turn(self, event: TurnEnded) -> None:
        self._turns += 1
        self._generated += event.generated
        self._prompt += event.prompt
        self._cached += event.cached
        self._preempted += event.preemptions
        dispatched = self._dispatched.pop(event.trajectory, None)
        started = self._started.pop(event.trajectory, None)
        if started is not None and dispatched is not None:
            self._first.append((dispatched - started) / 1e9 + event.first_token_s)

    def _spent(self) -> dict[Cause, int]:
        """Nanoseconds of all engines by cause, so far."""
        spent: dict[Cause, int] = {}
        engines = self._attribution.spent() if self._attribution is not None else {}
        for cause, ns in itertools.chain.from_iterable(causes.items() for causes in engines.values()):
            spent[cause] = spent.get(cause, 0) + ns
        return spent
