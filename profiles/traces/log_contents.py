"""Looks through an event log once, and keeps figures only: memory grows by a few bytes a turn."""

from array import array
from collections import Counter, defaultdict
from pathlib import Path

from headway.scheduler.events import (
    EngineChanged,
    EngineStarted,
    Event,
    ToolEnded,
    ToolStarted,
    TrajectoryEnded,
    TrajectoryStarted,
    TurnEnded,
)

from ..event_log import Reader
from ..found_events import Gap
from ..run_logs import event_log, event_logs
from .contents import LogContents
from .spread import Spread


def look_through(path: Path, *, attempt: int | None = None) -> LogContents:
    """What is in an event log, or in a run folder's."""
    log = event_log(path, attempt)
    reader = Reader(log)
    counts = _Counts()
    for event in reader:
        counts.emit(event)
    header, ended = reader.header, counts.ended
    return LogContents(
        log=str(log),
        attempts=list(event_logs(path)) if path.is_dir() else [],
        version=header.version,
        model=header.model,
        policy=header.policy,
        wall_ns=header.wall_ns,
        span_s=(reader.end - header.t) / 1e9,
        closed=reader.closed,
        torn=reader.torn,
        lost=reader.lost,
        gaps=counts.gaps,
        unreadable=reader.unreadable,
        engine_ids=list(dict.fromkeys([*header.engines, *counts.engine_ids])),
        engines=list(counts.engines.values()),
        events=dict(counts.kinds.most_common()),
        groups=len(counts.groups),
        trajectories=counts.kinds["TrajectoryStarted"],
        finished=ended["finished"],
        failed=ended["failed"],
        live=len(counts.live),
        turns=len(counts.generated),
        abandoned=counts.kinds["TurnAbandoned"],
        prompt=sum(counts.prompt),
        cached=counts.cached,
        generated=sum(counts.generated),
        preemptions=counts.preemptions,
        generated_of_turn=Spread.of(counts.generated),
        prompt_of_turn=Spread.of(counts.prompt),
        turns_of_trajectory=Spread.of(counts.turns),
        tools={tool: Spread.of(seconds) for tool, seconds in sorted(counts.tools.items())},
    )


class _Counts:
    """An event sink."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.gaps = 0
        self.engines: dict[str, EngineStarted] = {}
        self.engine_ids: dict[str, None] = {}
        self.groups: set[str] = set()
        self.live: set[str] = set()
        self.ended: Counter[str] = Counter()
        self.cached = self.preemptions = 0
        self.generated, self.prompt, self.turns = array("q"), array("q"), array("q")
        self.tools: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        self._calls: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def emit(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, Gap):
            self.gaps += 1
            return
        self.kinds[type(event).__name__] += 1
        match event:
            case TrajectoryStarted():
                self.groups.add(event.group)
                self.live.add(event.trajectory)
            case TrajectoryEnded():
                self.ended[event.status] += 1
                self.live.discard(event.trajectory)
                self.turns.append(event.turns)
            case TurnEnded():
                self._end_turn(event)
            case ToolStarted():
                self._calls[event.trajectory, event.tool].append(event.t)
            case ToolEnded():
                self._end_call(event)
            case EngineStarted():
                self.engines[event.engine] = event
                self.engine_ids[event.engine] = None
            case EngineChanged():
                self.engine_ids[event.engine] = None
            case _:
                pass

    def _end_turn(self, event: TurnEnded) -> None:
        self.generated.append(event.generated)
        self.prompt.append(event.prompt)
        self.cached += event.cached
        self.preemptions += event.preemptions

    def _end_call(self, event: ToolEnded) -> None:
        """Calls of one tool that run together are told apart by their order."""
        began = self._calls.get((event.trajectory, event.tool))
        if began:
            self.tools[event.tool].append((event.t - began.pop(0)) / 1e9)
            if not began:
                del self._calls[event.trajectory, event.tool]
