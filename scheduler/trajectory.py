"""One trajectory as the decision core sees it: its state, its size in tokens, and where its KV lives.

Invariant: ``move`` is the only way a state changes, and only along ``ALLOWED``.
Knows nothing of tokens, text, engines' insides or asyncio.
"""

from dataclasses import dataclass, field
from enum import StrEnum


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


@dataclass(eq=False)
class Trajectory:
    """The scheduler's account of one trajectory. Sizes are in tokens.

    ``context`` is what it has now, ``prompt`` the part that its group shares, ``turn_limit`` the most that
    its next turn may generate, ``boundary`` what it had when its last turn ended, ``home`` the engine that
    last ran it.
    """

    id: str
    group: str
    prompt: int
    context: int
    turn_limit: int
    turn: int = 0
    state: State = State.NEW
    home: str | None = None
    boundary: int = field(init=False)

    def __post_init__(self) -> None:
        self.boundary = self.context

    def move(self, state: State) -> None:
        """Go to another state; raises ``ValueError`` for a move that is not allowed."""
        if state not in ALLOWED[self.state]:
            raise ValueError(f"trajectory {self.id}: {self.state} -> {state} is not an allowed move")
        self.state = state

    @property
    def is_counted(self) -> bool:
        """Whether its KV is on an engine's account."""
        return self.state in (State.RUNNING, State.HELD)
