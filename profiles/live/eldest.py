"""The trajectories that have been live for longest, and what each is doing now.

Knows nothing of engines' time.
"""

import itertools
from dataclasses import dataclass, field

import msgspec

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


class Elder(msgspec.Struct, frozen=True, kw_only=True):
    """A live trajectory: since when it lives, the turns that it has had, what it does, and since when.

    Times are those of the events, in nanoseconds.
    """

    id: str
    started: int
    turns: int
    doing: str
    since: int


@dataclass
class _Life:
    started: int
    since: int
    doing: str = "in its agent"
    turns: int = 0
    tools: list[str] = field(default_factory=list)  # calls under way

    def turn_to(self, doing: str, now: int) -> None:
        self.doing, self.since = doing, now

    def start_tool(self, tool: str, now: int) -> None:
        self.tools.append(tool)
        if len(self.tools) == 1:
            self.turn_to(f"in {tool}", now)

    def end_tool(self, tool: str, now: int) -> None:
        if tool in self.tools:
            self.tools.remove(tool)
        if self.doing == f"in {tool}" and tool not in self.tools:
            self.turn_to(f"in {self.tools[0]}" if self.tools else "in its agent", now)


class Eldest:
    """An event sink."""

    def __init__(self) -> None:
        self._live: dict[str, _Life] = {}  # in the order of their start

    def emit(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, TrajectoryStarted):
            self._live[event.trajectory] = _Life(event.t, event.t)
            return
        life = self._live.get(getattr(event, "trajectory", ""))
        if life is None:
            return
        match event:
            case TurnReady():
                life.turn_to("ready for its turn", event.t)
            case TurnHeld():
                life.doing = f"ready, held back: {event.reason.replace('_', ' ')}"
            case TurnDispatched():
                life.turn_to(f"on {event.engine}", event.t)
            case TurnEnded():
                life.turns += 1
                life.turn_to("in its agent", event.t)
            case ToolStarted():
                life.start_tool(event.tool, event.t)
            case ToolEnded():
                life.end_tool(event.tool, event.t)
            case TurnAbandoned():
                life.turn_to("in its agent", event.t)
            case TrajectoryEnded():
                del self._live[event.trajectory]
            case _:
                pass

    def eldest(self, count: int) -> list[Elder]:
        """So many of them, the eldest first."""
        return [
            Elder(id=id, started=life.started, turns=life.turns, doing=life.doing, since=life.since)
            for id, life in itertools.islice(self._live.items(), count)
        ]
