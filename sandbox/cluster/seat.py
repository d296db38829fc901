"""A session on one node, and how a node is found for one.

Invariant: a seat lives and dies with its node; an error leaves nothing behind of the session that was to be
opened. Knows nothing of a session's history.
"""

from collections.abc import Collection
from typing import Self

from ..errors import SandboxError
from ..result import Limits, Result, Snippet
from .link import Link, NodeLost
from .messages import Branch, Close, Open
from .pool import Pool
from .tries import NODES_PER_CALL


class Seat:
    """``open_seat`` and ``branch`` make one. ``cells`` is how many cells its state is made of."""

    def __init__(self, pool: Pool, node: Link, name: int, *, cells: int = 0) -> None:
        self.node = node
        self.cells = cells
        self._pool = pool
        self._name = name
        pool.count_session(node, 1)

    @classmethod
    async def take(cls, pool: Pool, node: Link, request: Open | Branch, name: int, *, cells: int = 0) -> Self:
        """Have a node open the session ``name``."""
        try:
            await node.order(request)
        except BaseException:
            node.tell(Close(name))
            raise
        return cls(pool, node, name, cells=cells)

    async def run(self, snippet: Snippet) -> Result:
        """Run one cell; raises ``NodeLost``."""
        with self._pool.cell(self.node):
            return await self.node.run(snippet, self._name)

    async def branch(self) -> "Seat":
        """Return a second session on the same node; raises ``NodeLost`` and ``SandboxError``."""
        name = next(self.node.session_names)
        return await Seat.take(self._pool, self.node, Branch(self._name, name), name, cells=self.cells)

    def give_up(self) -> None:
        """End the session on its node; once."""
        self.node.tell(Close(self._name))
        self._pool.count_session(self.node, -1)


async def open_seat(
    pool: Pool, limits: Limits | None, idle_s: float, *, avoid: Collection[Link] = ()
) -> Seat:
    """Open a session on a node with few of them; where it refuses, on another, until all have.

    Raises:
        SandboxError: no node would have it, or none is there.
    """
    order, refused, losses = pool.arrive(), set[Link](), 0
    problem: Exception = SandboxError("no node was asked")
    while losses < NODES_PER_CALL:
        async with pool.lease(order, avoid={*avoid, *refused}, opens_session=True) as node:
            if node in refused:
                break
            refused.add(node)
            name = next(node.session_names)
            try:
                return await Seat.take(pool, node, Open(name, limits, idle_s), name)
            except NodeLost as error:
                problem, losses = error, losses + 1
            except SandboxError as error:
                problem = error
    raise SandboxError(f"No node of the sandbox could open a session: {problem}") from problem
