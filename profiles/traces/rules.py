"""What an event log has to keep to, by the words of ``scheduler/events``: each event is held against the
state that those before it have left.

Knows nothing of files or lines.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from headway.scheduler.events import (
    EngineChanged,
    EngineLoad,
    EngineStarted,
    Event,
    Parked,
    ToolEnded,
    ToolStarted,
    TrajectoryEnded,
    TrajectoryStarted,
    TurnAbandoned,
    TurnDispatched,
    TurnEnded,
    TurnHeld,
    TurnReady,
)

from ..gpu.sample import GpuSample

_InTrajectory = (
    TurnReady
    | TurnHeld
    | TurnDispatched
    | TurnEnded
    | TurnAbandoned
    | Parked
    | ToolStarted
    | ToolEnded
    | TrajectoryEnded
)


@dataclass
class _Live:
    """A trajectory: the turn that is under way, the engine that it is on, and the next turn if known."""

    turn: int | None = None
    context: int = 0
    engine: str | None = None
    expected: int | None = None
    tools: Counter[str] = field(default_factory=Counter)


class Rules:
    """Takes events in order, and says what is wrong with each."""

    def __init__(self, *, engines: Iterable[str], start: int) -> None:
        self._engines = set(engines)
        self._now = start
        self._live: dict[str, _Live] = {}
        self._ended: set[str] = set()

    @property
    def live(self) -> int:
        """Trajectories without an end so far."""
        return len(self._live)

    def take(self, event: Event) -> Iterator[str]:
        """Let an event change the state, and yield what it breaks."""
        if not isinstance(event, GpuSample):  # drivers keep samples for a while, so that they come late
            if event.t < self._now:
                yield f"t goes back by {self._now - event.t} ns"
            self._now = max(self._now, event.t)
        match event:
            case TrajectoryStarted():
                yield from self._start(event)
            case EngineStarted() | EngineChanged(state="starting"):
                self._engines.add(event.engine)
            case EngineChanged() | EngineLoad():
                yield from self._known(event.engine)
            case TurnDispatched() | Parked():
                yield from self._known(event.engine)
                yield from self._take(event)
            case _ if isinstance(event, _InTrajectory):
                yield from self._take(event)
            case _:
                pass

    def _start(self, event: TrajectoryStarted) -> Iterator[str]:
        if event.trajectory in self._live or event.trajectory in self._ended:
            yield f"trajectory {event.trajectory} starts again"
        self._live[event.trajectory] = _Live()

    def _take(self, event: _InTrajectory) -> Iterator[str]:
        """An event that only a trajectory that lives can have."""
        live = self._live.get(event.trajectory)
        if live is None:
            state = "has ended" if event.trajectory in self._ended else "has not started"
            yield f"{type(event).__name__} of trajectory {event.trajectory}, which {state}"
            return
        match event:
            case TurnReady():
                yield from _ready(live, event)
            case TurnHeld():
                if live.turn is None or live.engine is not None:
                    yield f"trajectory {event.trajectory} is held, and no turn of it waits"
            case TurnDispatched():
                yield from _dispatch(live, event)
            case TurnEnded():
                yield from _end_turn(live, event)
            case TurnAbandoned():
                if live.turn != event.turn:
                    yield f"turn {event.turn} of {event.trajectory} is abandoned, and was not ready"
                live.turn = live.engine = None
            case ToolStarted():
                live.tools[event.tool] += 1
            case ToolEnded():
                if not live.tools[event.tool]:
                    yield f"tool {event.tool} of {event.trajectory} ends, and was not started"
                live.tools[event.tool] = max(live.tools[event.tool] - 1, 0)
            case TrajectoryEnded():
                yield from self._end(live, event)
            case Parked():
                pass

    def _end(self, live: _Live, event: TrajectoryEnded) -> Iterator[str]:
        if live.turn is not None:
            yield f"trajectory {event.trajectory} ends while its turn {live.turn} is under way"
        if running := +live.tools:
            yield f"trajectory {event.trajectory} ends while its tools run: {', '.join(running)}"
        del self._live[event.trajectory]
        self._ended.add(event.trajectory)

    def _known(self, engine: str) -> Iterator[str]:
        if engine not in self._engines:
            yield f"engine {engine} is not in the header and has not started"


def _ready(live: _Live, event: TurnReady) -> Iterator[str]:
    if live.turn is not None:
        yield f"turn {event.turn} of {event.trajectory} is ready while turn {live.turn} is under way"
    elif live.expected not in (None, event.turn):
        yield f"turn {event.turn} of {event.trajectory} is ready, and turn {live.expected} would be next"
    live.turn = live.expected = event.turn
    live.context, live.engine = event.context, None


def _dispatch(live: _Live, event: TurnDispatched) -> Iterator[str]:
    turn = f"turn {event.turn} of {event.trajectory}"
    if live.turn != event.turn:
        yield f"{turn} is dispatched, and was not ready"
    elif live.engine is not None:
        yield f"{turn} is dispatched to {event.engine} while it is on {live.engine}"
    live.turn, live.engine = event.turn, event.engine


def _end_turn(live: _Live, event: TurnEnded) -> Iterator[str]:
    turn = f"turn {event.turn} of {event.trajectory}"
    if live.turn != event.turn or live.engine is None:
        yield f"{turn} ends, and was not dispatched"
    else:
        if live.engine != event.engine:
            yield f"{turn} ends on {event.engine}, and was dispatched to {live.engine}"
        if live.context != event.prompt:
            yield f"{turn} had {event.prompt} prompt tokens, and was ready with {live.context}"
    if not 0 <= event.cached <= event.prompt or event.generated < 0:
        yield (
            f"{turn} has impossible counts: {event.cached} of {event.prompt} prompt tokens cached, "
            f"{event.generated} generated"
        )
    live.turn = live.engine = None
    live.expected = event.turn + 1
