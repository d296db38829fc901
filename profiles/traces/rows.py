"""Rows of tables, made from events as what they tell of ends.

A turn that was abandoned has a row of its own, and so has each further try. Knows nothing of files.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from headway.scheduler.events import (
    EngineChanged,
    EngineStarted,
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

Row = dict[str, Any]
_SUMS = ("prompt", "cached", "generated", "preemptions")
_OF_TURN = (*_SUMS, "queue_s", "first_token_s", "first_version", "last_version", "finish")


class Rows:
    """Takes events in order, and yields the rows that each completes, by table."""

    def __init__(self, *, engines: Iterable[str], start: int) -> None:
        self._start = start
        self._trajectories: dict[str, Row] = {}
        self._turns: dict[str, Row] = {}
        self._tools: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
        self._engines: dict[str, Row] = {}
        for engine in engines:
            self._engine(engine)

    def take(self, event: Event) -> Iterator[tuple[str, Row]]:
        """Take one event."""
        t = event.t - self._start
        match event:
            case TrajectoryStarted():
                self._trajectories[event.trajectory] = {
                    "trajectory": event.trajectory,
                    "group": event.group,
                    "task": event.task,
                    "started_ns": t,
                }
            case TurnReady() if event.trajectory in self._trajectories:
                self._turns[event.trajectory] = {
                    "trajectory": event.trajectory,
                    "group": self._trajectories[event.trajectory]["group"],
                    "turn": event.turn,
                    "ready_ns": t,
                    "prompt": event.context,
                }
            case TurnHeld() if event.trajectory in self._turns:
                self._turns[event.trajectory]["held"] = event.reason
            case TurnDispatched() if event.trajectory in self._turns:
                self._turns[event.trajectory] |= {
                    "engine": event.engine,
                    "dispatched_ns": t,
                    "dispatch_reason": event.reason,
                }
            case TurnEnded():
                yield from self._end_turn(event, t)
            case TurnAbandoned() if event.trajectory in self._turns:
                yield "turns", self._turns.pop(event.trajectory) | {"status": "abandoned", "ended_ns": t}
            case ToolStarted():
                call = {
                    "trajectory": event.trajectory,
                    "turn": event.turn,
                    "tool": event.tool,
                    "started_ns": t,
                }
                self._tools[event.trajectory, event.tool].append(call)
            case ToolEnded():
                yield from self._end_tool(event, t)
            case TrajectoryEnded() if event.trajectory in self._trajectories:
                yield (
                    "trajectories",
                    self._trajectories.pop(event.trajectory)
                    | {
                        "ended_ns": t,
                        "status": event.status,
                        "cause": event.cause,
                        "turns": event.turns,
                        "tokens": event.tokens,
                        "reward": event.reward,
                    },
                )
            case EngineStarted():
                facts = msgspec.structs.asdict(event)
                del facts["t"]
                self._engine(event.engine).update(facts)
            case EngineChanged():
                self._engine(event.engine)
            case _:
                pass

    def rest(self) -> Iterator[tuple[str, Row]]:
        """Rows of what has not ended, and of the engines."""
        yield from (("trajectories", row) for row in self._trajectories.values())
        yield from (("turns", row) for row in self._turns.values())
        yield from (("tools", row) for calls in self._tools.values() for row in calls)
        yield from (("engines", row) for row in self._engines.values())

    def _end_turn(self, event: TurnEnded, t: int) -> Iterator[tuple[str, Row]]:
        engine = self._engine(event.engine)
        engine["turns"] += 1
        for name in _SUMS:
            engine[name] += getattr(event, name)
        row = self._turns.pop(event.trajectory, None)
        if row is not None:
            figures = {name: getattr(event, name) for name in _OF_TURN}
            yield "turns", row | figures | {"status": "ended", "engine": event.engine, "ended_ns": t}

    def _end_tool(self, event: ToolEnded, t: int) -> Iterator[tuple[str, Row]]:
        """Calls of one tool that run together are told apart by their order."""
        calls = self._tools.get((event.trajectory, event.tool))
        if calls:
            yield "tools", calls.pop(0) | {"ended_ns": t, "status": event.status}
            if not calls:
                del self._tools[event.trajectory, event.tool]

    def _engine(self, id: str) -> Row:
        return self._engines.setdefault(id, {"engine": id, "turns": 0, **dict.fromkeys(_SUMS, 0)})
