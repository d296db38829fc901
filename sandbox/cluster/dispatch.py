"""Decides which node serves which call: the one with less to do of two that are drawn at random.

Invariants: a node has at most ``room`` calls, not counting the cells of the sessions that live on it, which
cannot go elsewhere; a call that some node could take does not wait; of those that wait, the one that came
first goes first. Knows nothing of what a node or a call is. Source of the rule: Mitzenmacher, The Power of
Two Choices in Randomized Load Balancing (IEEE TPDS 2001).
"""

import random
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sortedcontainers import SortedDict

NodeT = TypeVar("NodeT", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Ticket(Generic[NodeT]):
    """A call's place in the queue: ``order`` is its own alone, and the lowest goes first.

    ``avoid`` is honoured as long as there is another node.
    """

    order: int
    avoid: Collection[NodeT] = ()
    opens_session: bool = False


@dataclass
class _Load:
    room: int
    calls: int = 0
    cells: int = 0
    sessions: int = 0

    def weigh(self, *, sessions: bool) -> int:
        return self.calls + self.cells + (self.sessions if sessions else 0)


class Dispatch(Generic[NodeT]):
    """The nodes, what each has to do, and the calls that wait for one. A node that has left may be named."""

    def __init__(self, *, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._nodes: dict[NodeT, _Load] = {}
        self._waiting: SortedDict[int, Ticket[NodeT]] = SortedDict()

    @property
    def nodes(self) -> list[NodeT]:
        """Those that take calls."""
        return list(self._nodes)

    @property
    def waiting(self) -> list[Ticket[NodeT]]:
        """The calls that no node has taken, in order."""
        return list(self._waiting.values())

    def join(self, node: NodeT, *, room: int) -> None:
        """Let a node take calls, at most ``room`` at once."""
        self._nodes[node] = _Load(room)

    def leave(self, node: NodeT) -> None:
        """Let a node take no more calls; forget what it had to do."""
        self._nodes.pop(node, None)

    def wait(self, ticket: Ticket[NodeT]) -> None:
        """Put a call into the queue."""
        self._waiting[ticket.order] = ticket

    def withdraw(self, ticket: Ticket[NodeT]) -> None:
        """Take a call out of the queue, if it is there."""
        self._waiting.pop(ticket.order, None)

    def grant(self) -> list[tuple[Ticket[NodeT], NodeT]]:
        """Take out of the queue every call that a node has room for; ``release`` gives the room back."""
        granted: list[tuple[Ticket[NodeT], NodeT]] = []
        while choice := self._first_choice():
            ticket, nodes = choice
            drawn = self._random.sample(nodes, min(2, len(nodes)))
            node = min(drawn, key=lambda node: self._nodes[node].weigh(sessions=ticket.opens_session))
            self._nodes[node].calls += 1
            self.withdraw(ticket)
            granted.append((ticket, node))
        return granted

    def release(self, node: NodeT) -> None:
        """A call that was granted this node has ended."""
        if node in self._nodes:
            self._nodes[node].calls -= 1

    def count_cell(self, node: NodeT, change: int) -> None:
        """A cell of a session begins (1) or ends (-1) on its node."""
        if node in self._nodes:
            self._nodes[node].cells += change

    def count_session(self, node: NodeT, change: int) -> None:
        """A session begins (1) or ends (-1) to live on a node."""
        if node in self._nodes:
            self._nodes[node].sessions += change

    def _first_choice(self) -> tuple[Ticket[NodeT], list[NodeT]] | None:
        free = [node for node, load in self._nodes.items() if load.calls < load.room]
        for ticket in self._waiting.values() if free else ():
            if nodes := self._suitable(ticket, free):
                return ticket, nodes
        return None

    def _suitable(self, ticket: Ticket[NodeT], free: list[NodeT]) -> list[NodeT]:
        if ticket.avoid and self._nodes.keys() - ticket.avoid:
            return [node for node in free if node not in ticket.avoid]
        return free
