"""Where each trajectory's time went: on an engine, in its queue, held back, in tools, in its agent.

Invariant: the parts of a trajectory sum to its length, exactly. Keeps those that live, and the slowest of
those that have ended. Knows nothing of engines' time.
"""

import heapq
import itertools
from collections import defaultdict
from dataclasses import dataclass, field

from headway.scheduler.events import (
    Event,
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

from .cause import Cause
from .found_events import Vanished
from .profile import Life

AGENT = "agent"
GENERATING = "generating"
QUEUED = "engine_queue"
ABANDONED = "abandoned"  # on an engine, in a turn that came to nothing


@dataclass
class _Life:
    group: str
    start: int
    since: int
    doing: str = AGENT
    spent: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    turns: int = 0
    generated: int = 0
    engines: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)  # calls under way

    def turn_to(self, doing: str, now: int) -> None:
        self.spent[self.doing] += now - self.since
        self.doing, self.since = doing, now

    def end_tool(self, tool: str, now: int) -> None:
        if tool in self.tools:
            self.tools.remove(tool)
        if self.doing == tool and tool not in self.tools:
            self.turn_to(self.tools[0] if self.tools else AGENT, now)


class Lives:
    """An event sink. ``spent`` adds up the parts of all trajectories, in nanoseconds."""

    def __init__(self, start: int, *, keep: int = 10) -> None:
        self.spent: defaultdict[str, int] = defaultdict(int)
        self.started = self.finished = self.failed = 0
        self._start = start
        self._keep = keep
        self._live: dict[str, _Life] = {}
        self._slowest: list[tuple[int, int, Life]] = []  # a heap
        self._count = itertools.count()

    def emit(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, TrajectoryStarted):
            self.started += 1
            self._live[event.trajectory] = _Life(event.group, event.t, event.t)
            return
        life = self._live.get(getattr(event, "trajectory", ""))
        if life is None:
            return
        match event:
            case TurnReady():
                life.turn_to(Cause.DISPATCH_LAG, event.t)
            case TurnHeld():
                life.turn_to(event.reason, event.t)
            case TurnDispatched():
                life.turn_to(GENERATING, event.t)
                if event.engine not in life.engines:
                    life.engines.append(event.engine)
            case TurnEnded():
                self._end_turn(life, event)
            case TurnAbandoned():
                life.doing = ABANDONED if life.doing == GENERATING else life.doing
                life.turn_to(AGENT, event.t)
            case ToolStarted():
                life.tools.append(f"tool:{event.tool}")
                if life.doing == AGENT:
                    life.turn_to(life.tools[0], event.t)
            case ToolEnded():
                life.end_tool(f"tool:{event.tool}", event.t)
            case TrajectoryEnded():
                self._end(event.trajectory, event.t, event.status)
            case Vanished(live=True):
                life.tools.clear()
                life.turn_to(AGENT, event.t)
            case Vanished():
                self._end(event.trajectory, event.t, "lost")
            case _:
                pass

    def slowest(self, now: int) -> list[Life]:
        """The longest first, those that live still at their age."""
        living = [_told(id, life, now, self._start, "live") for id, life in self._live.items()]
        ended = [life for _, _, life in self._slowest]
        return heapq.nlargest(self._keep, [*living, *ended], key=lambda life: life.end_ns - life.start_ns)

    def _end_turn(self, life: _Life, event: TurnEnded) -> None:
        if life.doing == GENERATING:
            queued = min(round(event.queue_s * 1e9), event.t - life.since)
            life.spent[QUEUED] += queued
            life.since += queued
        life.turn_to(AGENT, event.t)
        life.turns += 1
        life.generated += event.generated

    def _end(self, trajectory: str, t: int, status: str) -> None:
        told = _told(trajectory, self._live.pop(trajectory), t, self._start, status)
        self.finished += status == "finished"
        self.failed += status == "failed"
        for part, ns in told.spent.items():
            self.spent[part] += ns
        heapq.heappush(self._slowest, (told.end_ns - told.start_ns, next(self._count), told))
        if len(self._slowest) > self._keep:
            heapq.heappop(self._slowest)


def _told(id: str, life: _Life, now: int, start: int, status: str) -> Life:
    spent = dict(life.spent)
    spent[life.doing] = spent.get(life.doing, 0) + now - life.since
    return Life(
        id=id,
        group=life.group,
        start_ns=life.start - start,
        end_ns=now - start,
        spent={part: ns for part, ns in sorted(spent.items(), key=lambda item: -item[1]) if ns},
        turns=life.turns,
        generated=life.generated,
        engines=life.engines,
        status=status,
    )
