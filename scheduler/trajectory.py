"""One trajectory as the decision core sees it: its state, its size in tokens, and where its KV lives.

Invariant: ``move`` is the only way a state changes, and only along ``ALLOWED``.
Knows nothing of tokens, text, engines' insides or asyncio.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .ledger import Segment


class State(StrEnum):
    """Where a trajectory is in its life."""

    NEW = "new"  # no turn yet: nothing of it is cached anywhere
    RUNNING = "running"  # a turn is on an engine
    HELD = "held"  # between turns (in a tool); its KV is still counted on its home engine
    PARKED = "parked"  # between turns; its KV is not counted, the engine may have evicted it
    RETURNED = "returned"  # a turn is ready, its KV is counted nowhere: waits for admission
    FINISHED = "finished"
    FAILED = "failed"


ALLOWED: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.RUNNING, State.FINISHED, State.FAILED}),
    State.RUNNING: frozenset({State.HELD, State.PARKED, State.FINISHED, State.FAILED}),
    State.HELD: frozenset({State.RUNNING, State.PARKED, State.FINISHED, State.FAILED}),
    State.PARKED: frozenset({State.RETURNED, State.FINISHED, State.FAILED}),
    State.RETURNED: frozenset({State.RUNNING, State.PARKED, State.FINISHED, State.FAILED}),
    State.FINISHED: frozenset(),
    State.FAILED: frozenset(),
}


@dataclass(eq=False, slots=True)
class Trajectory:
    """The scheduler's account of one trajectory. Sizes are in tokens, times in seconds.

    ``context`` is what it has now, ``prompt`` the part that its group shares, ``shared`` the segments that
    its context begins with and others may share, ``turn_limit`` the most that its next turn may generate,
    ``boundary`` what it had when its last turn ended, ``home`` the engine that last ran it, ``arrival`` its
    number in the order in which trajectories became known, ``since`` when it came into its state,
    ``dispatched`` when its last turn went to an engine, ``ended`` when that ended (while its tool runs),
    ``growth`` and ``variance`` what is expected of it where it is counted, ``resting`` what nobody shares of
    it as it went into its tool.
    """

    id: str
    group: str
    prompt: int
    context: int
    turn_limit: int
    shared: tuple[Segment, ...] = ()
    arrival: int = 0
    turn: int = 0
    state: State = State.NEW
    home: str | None = None
    since: float = 0.0
    dispatched: float = 0.0
    ended: float | None = None
    growth: float = 0.0
    resting: int = 0
    variance: float = 0.0
    queued_at: tuple[Any, int] | None = None
    boundary: int = field(init=False)

    def __post_init__(self) -> None:
        self.boundary = self.context

    def move(self, state: State, now: float = 0.0) -> None:
        """Go to another state; raises ``ValueError`` for a move that is not allowed."""
        if state not in ALLOWED[self.state]:
            raise ValueError(f"trajectory {self.id}: {self.state} -> {state} is not an allowed move")
        self.state, self.since = state, now

    @property
    def private(self) -> int:
        """Tokens of its context that nobody shares."""
        return self.context - (self.shared[-1].end if self.shared else 0)

    @property
    def is_counted(self) -> bool:
        """Whether its KV is on an engine's account."""
        return self.state is State.RUNNING or self.state is State.HELD
