"""A session that outlives its node: it stays on one as long as that lasts, and is replayed on another after.

Invariants: the state is that of the cells in the history, run in order, whatever node they ran on; a cell is
in the history if its result kept state, and only then; a session whose replay ends otherwise than it first
did, or of which more cells would have to be replayed than may be, is over. Knows nothing of how nodes are
chosen.
"""

import asyncio
from collections.abc import Collection

import msgspec

from ..errors import SandboxError
from ..result import Limits, Result, Snippet, Status
from .link import Link, NodeLost
from .pool import Pool
from .seat import Seat, open_seat
from .tries import Tries


class SessionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a session may use, and of how many cells it may be replayed."""

    limits: Limits | None
    idle_s: float
    replay_cells: int


class ClusterSession:
    """One trajectory's state. One cell runs at a time; the others wait in order. ``open`` makes one."""

    def __init__(
        self,
        pool: Pool,
        options: SessionOptions,
        seat: Seat | None,
        history: list[tuple[Snippet, Status]] | None,
    ) -> None:
        self._pool = pool
        self._options = options
        self._seat = seat
        self._history = history
        self._is_over = False
        self._replayed = 0
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, pool: Pool, options: SessionOptions) -> "ClusterSession":
        """Open a session on some node; raises ``SandboxError`` if none will have it."""
        return cls(pool, options, await open_seat(pool, options.limits, options.idle_s), [])

    async def run(self, snippet: Snippet) -> Result:
        """Run one cell on the state that the last good cell left; see ``Session.run``."""
        async with self._turn:
            tries: Tries[Link] = Tries()
            self._replayed = 0
            while (result := await self._try(snippet, tries)) is None:
                pass
            attempt = tries.attempts + result.attempt
            replayed = max(self._replayed, result.replayed)  # the node may have lost, and replayed, it too
            return msgspec.structs.replace(result, attempt=attempt, replayed=replayed)

    async def branch(self) -> "ClusterSession":
        """Return a second session that goes on from this state, on the same node as long as that lasts.

        Raises:
            SandboxError: the session is over, or its node holds as many as it may.
        """
        async with self._turn:
            seat = None
            try:
                seat = await self._seat.branch() if self._seat is not None else None
            except NodeLost:
                self._drop()
            if seat is None and (self._is_over or self._history is None):
                raise SandboxError("The session has expired: open a new one.")
            history = None if self._history is None else list(self._history)
            return ClusterSession(self._pool, self._options, seat, history)

    async def close(self) -> None:
        """End the session; calls that follow end as ``EXPIRED``."""
        self._is_over = True
        self._drop()

    async def _try(self, snippet: Snippet, tries: Tries[Link]) -> Result | None:
        """Run the cell where the session is, or else where it can be; None: try once more."""
        try:
            seat = await self._take_seat(tries.avoid)
        except SandboxError as error:
            return self._pool.lost(str(error))
        if seat is None:
            return Result(status=Status.EXPIRED, tier=self._pool.tier)
        lost = False
        try:
            result = await self._catch_up(seat) or await seat.run(snippet)
        except NodeLost as error:
            result, lost = self._pool.lost(str(error)), True
        except BaseException:
            self._drop()  # whether the node kept what the cell did is not known
            raise
        if result.is_sandbox_fault:
            self._drop()
            return None if tries.goes_on_after(None if lost else result, seat.node) else result
        self._note(seat, snippet, result)
        return result

    async def _take_seat(self, avoid: Collection[Link]) -> Seat | None:
        if self._seat is None and self._history is not None and not self._is_over:
            self._seat = await open_seat(self._pool, self._options.limits, self._options.idle_s, avoid=avoid)
            if self._is_over:  # closed in the meantime
                self._drop()
        return self._seat

    async def _catch_up(self, seat: Seat) -> Result | None:
        """Replay what the seat has not run; return None, or the result that ends the attempt."""
        for cell, status in (self._history or [])[seat.cells :]:
            result = await seat.run(cell)
            if result.is_sandbox_fault:
                return result
            if result.status is not status:
                return Result(status=Status.EXPIRED, tier=result.tier)
            seat.cells += 1
            self._replayed = seat.cells
        return None

    def _note(self, seat: Seat, snippet: Snippet, result: Result) -> None:
        if result.status is Status.EXPIRED:
            self._is_over = True
            self._drop()
        elif self._history is not None and result.kept:
            self._history.append((snippet, result.status))
            seat.cells += 1
            if len(self._history) > self._options.replay_cells:
                self._history = None

    def _drop(self) -> None:
        if self._seat is not None:
            self._seat.give_up()
            self._seat = None
