"""The life of every trajectory, in columns: its turns, why they were held back, and its tool calls.

A row is made when its turn or call begins, and filled in as it goes on; what has not happened is ``UNSET``.
Times are ns since the start. Events of a trajectory whose start is not known are left out.
Knows nothing of engines' time.
"""

from array import array
from collections import defaultdict
from math import nan

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

from .timeline_table import Names, Table

ABANDONED = "abandoned"  # how a turn ended that was given up
LIVE = "live"  # the status of a trajectory that has not ended


class TimelineLives:
    """An event sink. ``lives``, ``turns``, ``holds`` and ``tools`` are the tables.

    ``turns`` name their row of ``lives``, ``holds`` theirs of ``turns``. ``queued`` and ``first`` are ns from
    the dispatch to the turn's start inside the engine and to its first token. All that is text is a number
    of ``words``, and an engine one of ``engines``.
    """

    def __init__(self, start: int) -> None:
        self.ids: list[str] = []
        self.rewards = array("d")  # NaN where there is none
        self.engines, self.words = Names(), Names()
        self.lives = Table(start="q", end="q", group="i", status="i", cause="i")
        self.turns = Table(
            life="i",
            turn="i",
            ready="q",
            dispatched="q",
            queued="q",
            first="q",
            end="q",
            engine="i",
            reason="i",
            prompt="i",
            cached="i",
            generated="i",
            preemptions="i",
            finish="i",
        )
        self.holds = Table(turn="i", t="q", reason="i")
        self.tools = Table(life="i", start="q", end="q", name="i", status="i")
        self._start = start
        self._live: dict[str, int] = {}
        self._turn: dict[str, int] = {}  # the turn that is open, by trajectory
        self._calls: defaultdict[str, list[int]] = defaultdict(list)  # those under way, by trajectory

    def emit(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, TrajectoryStarted):
            self._begin(event)
            return
        life = self._live.get(getattr(event, "trajectory", ""))
        if life is None:
            return
        match event:
            case TurnReady():
                self._ready(event, life)
            case TurnHeld():
                self._held(event)
            case TurnDispatched():
                self._dispatched(event)
            case TurnEnded():
                self._ended(event)
            case TurnAbandoned():
                self._give_up(event.trajectory, event.t)
            case ToolStarted():
                name = self.words.number(event.tool)
                call = self.tools.add(life=life, start=event.t - self._start, name=name)
                self._calls[event.trajectory].append(call)
            case ToolEnded():
                self._tool_ended(event)
            case TrajectoryEnded():
                self._end(event, life)
            case _:
                pass

    def _begin(self, event: TrajectoryStarted) -> None:
        group, status = self.words.number(event.group), self.words.number(LIVE)
        self._live[event.trajectory] = self.lives.add(start=event.t - self._start, group=group, status=status)
        self.ids.append(event.trajectory)
        self.rewards.append(nan)

    def _ready(self, event: TurnReady, life: int) -> None:
        self._give_up(event.trajectory, event.t)
        self._turn[event.trajectory] = self.turns.add(
            life=life, turn=event.turn, ready=event.t - self._start, prompt=event.context
        )

    def _held(self, event: TurnHeld) -> None:
        if (turn := self._turn.get(event.trajectory)) is not None:
            self.holds.add(turn=turn, t=event.t - self._start, reason=self.words.number(event.reason))

    def _dispatched(self, event: TurnDispatched) -> None:
        if (turn := self._turn.get(event.trajectory)) is not None:
            self.turns.set(
                turn,
                dispatched=event.t - self._start,
                engine=self.engines.number(event.engine),
                reason=self.words.number(event.reason),
            )

    def _ended(self, event: TurnEnded) -> None:
        if (turn := self._turn.pop(event.trajectory, None)) is not None:
            self.turns.set(
                turn,
                queued=round(event.queue_s * 1e9),
                first=round(event.first_token_s * 1e9),
                end=event.t - self._start,
                prompt=event.prompt,
                cached=event.cached,
                generated=event.generated,
                preemptions=event.preemptions,
                finish=self.words.number(event.finish),
            )

    def _give_up(self, trajectory: str, t: int) -> None:
        if (turn := self._turn.pop(trajectory, None)) is not None:
            self.turns.set(turn, end=t - self._start, finish=self.words.number(ABANDONED))

    def _tool_ended(self, event: ToolEnded) -> None:
        calls = self._calls.get(event.trajectory, [])
        name = self.words.number(event.tool)
        call = next((call for call in calls if self.tools["name"][call] == name), None)
        if call is not None:
            calls.remove(call)
            self.tools.set(call, end=event.t - self._start, status=self.words.number(event.status))

    def _end(self, event: TrajectoryEnded, life: int) -> None:
        self._give_up(event.trajectory, event.t)
        self._calls.pop(event.trajectory, None)
        del self._live[event.trajectory]
        self.lives.set(
            life,
            end=event.t - self._start,
            status=self.words.number(event.status),
            cause=self.words.number(event.cause),
        )
        if event.reward is not None:
            self.rewards[life] = event.reward
