"""Some trajectories' lives as tracks of a trace: one each, and one on every engine that they came to.

On the engines, an arrow leads from each turn to the trajectory's next, wherever that is. Knows nothing of
other trajectories, nor of engines' time.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator

from headway.scheduler.events import Event

from ..cause import Cause
from ..timeline_lives import TimelineLives
from ..timeline_table import UNSET
from .trace_file import Argument, TraceFile

_Span = tuple[str, int, int]
_FIGURES = ("prompt", "cached", "generated", "preemptions")


class LifeTracks:
    """An event sink that keeps what concerns ``trajectories``, until ``finish`` writes it."""

    def __init__(
        self, trace: TraceFile, trajectories: Collection[str], *, start: int, group_of: Callable[[str], int]
    ) -> None:
        self._trace = trace
        self._chosen = set(trajectories)
        self._group_of = group_of
        self._start = start
        self._lives = TimelineLives(start)

    def emit(self, event: Event) -> None:
        """Take one event."""
        if getattr(event, "trajectory", None) in self._chosen:
            self._lives.emit(event)

    def finish(self, end: int) -> None:
        """Write every track; what goes on still is cut off here."""
        if not self._lives.ids:
            return
        group = self._trace.group("slowest trajectories")
        turns, tools = _rows(self._lives.turns["life"]), _rows(self._lives.tools["life"])
        holds = _rows(self._lives.holds["turn"])
        for life, id in enumerate(self._lives.ids):
            track = self._trace.track(id, group)
            for turn in turns[life]:
                for name, start, stop in self._spans(turn, holds[turn], end - self._start):
                    self._trace.slice(track, name, start, stop)
            self._write_tools(id, group, tools[life], end - self._start)
            self._write_on_engines(id, turns[life], end - self._start)

    def _spans(self, turn: int, holds: list[int], end: int) -> Iterator[_Span]:
        """A turn's waits by cause, and the turn with what it was at inside its engine."""
        turns, words = self._lives.turns, list(self._lives.words)
        over = _known(turns["end"][turn], end)
        placed = _known(turns["dispatched"][turn], over)
        since, cause = turns["ready"][turn], str(Cause.DISPATCH_LAG)
        for hold in holds:
            until = self._lives.holds["t"][hold]
            yield from _span(cause, since, until)
            since, cause = until, words[self._lives.holds["reason"][hold]]
        yield from _span(cause, since, placed)
        yield from _span(f"turn {turns['turn'][turn]}", placed, over)
        if turns["first"][turn] != UNSET:
            begins = min(placed + turns["queued"][turn], over)
            first = max(begins, min(placed + turns["first"][turn], over))
            yield from _span("queue", placed, begins)
            yield from _span("prefill", begins, first)
            yield from _span("decode", first, over)

    def _write_tools(self, id: str, group: int, calls: list[int], end: int) -> None:
        """Calls side by side have tracks of their own."""
        tools, words = self._lives.tools, list(self._lives.words)
        free: dict[int, int] = {}  # from when on, by track
        for call in calls:
            start, over = tools["start"][call], _known(tools["end"][call], end)
            track = next((track for track, since in free.items() if since <= start), None)
            if track is None:
                track = self._trace.track(f"{id} tools", group)
            free[track] = over
            status = tools["status"][call]
            arguments = {"status": words[status]} if status != UNSET else {}
            self._trace.slice(track, words[tools["name"][call]], start, over, arguments=arguments)

    def _write_on_engines(self, id: str, turns: list[int], end: int) -> None:
        columns, engines = self._lives.turns, list(self._lives.engines)
        tracks: dict[int, int] = {}
        arrow: list[int] = []  # from the turn before
        placed = [turn for turn in turns if columns["engine"][turn] != UNSET]
        for turn in placed:
            engine = columns["engine"][turn]
            if engine not in tracks:
                tracks[engine] = self._trace.track(f"slow: {id}", self._group_of(engines[engine]))
            next_arrow = [] if turn == placed[-1] else [turn + 1]
            self._trace.slice(
                tracks[engine],
                f"{id} turn {columns['turn'][turn]}",
                columns["dispatched"][turn],
                _known(columns["end"][turn], end),
                arguments=self._figures(turn),
                flows=next_arrow,
                ending_flows=arrow,
            )
            arrow = next_arrow

    def _figures(self, turn: int) -> dict[str, Argument]:
        figures = {name: self._lives.turns[name][turn] for name in _FIGURES}
        return {name: value for name, value in figures.items() if value != UNSET}


def _rows(owners: "array[int]") -> defaultdict[int, list[int]]:
    """The rows of a table by what they belong to."""
    rows: defaultdict[int, list[int]] = defaultdict(list)
    for row, owner in enumerate(owners):
        rows[owner].append(row)
    return rows


def _known(time: int, otherwise: int) -> int:
    return otherwise if time == UNSET else time


def _span(name: str, start: int, end: int) -> Iterator[_Span]:
    if end > start:
        yield name, start, end
