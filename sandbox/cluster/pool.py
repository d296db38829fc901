"""The nodes that are in service, lent out one call at a time.

Invariants: whoever waits for a node gets one in turn, or ``NoNode`` once there has been none for
``node_wait_s`` seconds or after ``close``; a lease ends with its block. Knows nothing of how nodes start.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Collection, Iterator

from ..errors import SandboxError
from ..result import Result, Status, Tier
from .config import ClusterConfig
from .dispatch import Dispatch, Ticket
from .link import Link

_ROOM_PER_WORKER = 4


class NoNode(SandboxError):
    """No node is there to serve a call, and none came in time."""


class Pool:
    """What callers and the keepers of the nodes share. It belongs to one event loop."""

    def __init__(self, config: ClusterConfig) -> None:
        self._dispatch: Dispatch[Link] = Dispatch(seed=config.seed)
        self._config = config
        self._arrivals = itertools.count()
        self._leases: dict[int, asyncio.Future[Link]] = {}
        self._despair: asyncio.TimerHandle | None = None
        self._closed = False
        self._tier = Tier.A

    @property
    def tier(self) -> Tier:
        """The weakest isolation of the nodes in service, or of the last that were."""
        if nodes := self._dispatch.nodes:
            self._tier = max((node.hello.tier for node in nodes), key=list(Tier).index)
        return self._tier

    def lost(self, reason: str) -> Result:
        """Return the result of a try that no node answered."""
        return Result(status=Status.WORKER_LOST, stderr=reason, tier=self.tier)

    def arrive(self) -> int:
        """Return a new call's place in the order of arrival, which it keeps when it is tried again."""
        return next(self._arrivals)

    def join(self, node: Link) -> None:
        """Take a node into service, until it leaves or is lost."""
        if node.loss.done():
            return
        node.on_loss = lambda: self.leave(node)
        self._dispatch.join(
            node, room=self._config.in_flight_per_node or _ROOM_PER_WORKER * node.hello.workers
        )
        if self._despair is not None:
            self._despair.cancel()
            self._despair = None
        self._grant()

    def leave(self, node: Link) -> None:
        """Take a node out of service; what it has to do goes on until it is stopped."""
        self._tier = self.tier
        self._dispatch.leave(node)
        self._grant()

    def close(self) -> None:
        """Turn away all who wait, and all who come."""
        self._closed = True
        self._turn_away("The sandbox is closed.")

    @contextlib.asynccontextmanager
    async def lease(
        self, order: int, *, avoid: Collection[Link] = (), opens_session: bool = False
    ) -> AsyncIterator[Link]:
        """Wait for a node with room, and hold a place on it.

        Raises:
            NoNode: none came.
        """
        ticket = Ticket(order=order, avoid=avoid, opens_session=opens_session)
        node = await self._wait(ticket)
        try:
            yield node
        finally:
            self._dispatch.release(node)
            self._grant()

    @contextlib.contextmanager
    def cell(self, node: Link) -> Iterator[None]:
        """Count a cell of a session that lives on a node."""
        self._dispatch.count_cell(node, 1)
        try:
            yield
        finally:
            self._dispatch.count_cell(node, -1)

    def count_session(self, node: Link, change: int) -> None:
        """A session begins (1) or ends (-1) to live on a node."""
        self._dispatch.count_session(node, change)

    async def _wait(self, ticket: Ticket[Link]) -> Link:
        if self._closed:
            raise NoNode("The sandbox is closed.")
        lease: asyncio.Future[Link]
        lease = self._leases[ticket.order] = asyncio.get_running_loop().create_future()
        self._dispatch.wait(ticket)
        self._grant()
        try:
            return await lease
        except asyncio.CancelledError:
            self._dispatch.withdraw(ticket)
            if lease.done() and not lease.cancelled() and lease.exception() is None:
                self._dispatch.release(lease.result())
                self._grant()
            raise
        finally:
            del self._leases[ticket.order]

    def _grant(self) -> None:
        while granted := self._dispatch.grant():
            for ticket, node in granted:
                if self._leases[ticket.order].cancelled():
                    self._dispatch.release(node)
                else:
                    self._leases[ticket.order].set_result(node)
        if self._dispatch.waiting and not self._dispatch.nodes and self._despair is None:
            message = f"No node of the sandbox was there for {self._config.node_wait_s:g} s."
            loop = asyncio.get_running_loop()
            self._despair = loop.call_later(self._config.node_wait_s, self._turn_away, message)

    def _turn_away(self, message: str) -> None:
        self._despair = None
        for ticket in self._dispatch.waiting:
            self._dispatch.withdraw(ticket)
            if not self._leases[ticket.order].cancelled():
                self._leases[ticket.order].set_exception(NoNode(message))
