"""Sessions on the zygotes of one machine: a slot for each, in it a stopped process for each branch.

Invariants: the cells of a session run one at a time, in the order in which they came; a state that was lost
with its process is brought back by running its good cells again, and the result says so; a session that is
not used for its time to live, or whose state cannot be brought back, answers ``EXPIRED`` from then on.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Self

import msgspec

from .errors import IsolationUnavailable, SandboxError, WorkerLost
from .flavour import Flavour, flavour_of
from .jail.states import MAX_STATES
from .pool import Pool
from .request import call_of, encoded
from .result import Limits, Result, Snippet, Status, Tier
from .verdict import expired, judge, lost
from .wire import Call, Cause, Kind
from .worker import Answer, Worker

_ATTEMPTS = 4
_REPLAYS_OF_BROKEN = 3  # in a session's life: it could break its state again and again
_NOTHING = Snippet(code="", limits=Limits(wall_s=60.0))


class Host:
    """One slot, with the states of a session and of its branches."""

    def __init__(self, pool: Pool, worker: Worker, capacity: asyncio.Semaphore) -> None:
        self._pool = pool
        self._worker = worker
        self._capacity = capacity
        self._turn = asyncio.Lock()
        self._live = {0}
        self._left: list[int] = []
        self._last = 0
        self._running: int | None = None
        self.is_lost = False

    @classmethod
    async def fork(cls, pool: Pool, flavour: Flavour, capacity: asyncio.Semaphore) -> Self:
        """Start a slot for a session; raises what ``Pool.acquire`` raises."""
        return cls(pool, await pool.acquire(flavour), capacity)

    async def run(self, snippet: Snippet, limits: Limits, state: int) -> Answer:
        """Run a cell on one of the states; the limits are the session's."""
        call = call_of(snippet, session=limits, state=state)
        return await self._in_turn(call, lambda: self._worker.run(call, encoded(snippet.code), snippet.stdin))

    async def branch(self, limits: Limits, state: int) -> int | None:
        """Copy a state; return the copy's number, or None where that did not work."""
        if len(self._live) + len(self._left) >= MAX_STATES:
            return None
        self._last += 1
        number = self._last
        call = call_of(_NOTHING, session=limits, state=state)._replace(kind=Kind.BRANCH, branch=number)
        answer = await self._in_turn(call, lambda: self._worker.order(call))
        if answer.ending.cause is not Cause.EXITED:
            return None
        self._live.add(number)
        return number

    def leave(self, state: int) -> None:
        """Give up a state, and cut off a cell that runs on it.

        It goes with the slot if it was the last, else before the slot's next call.
        """
        self._live.discard(state)
        if not self._live:
            self.end()
        else:
            self._left.append(state)
            if self._running == state:
                self._worker.cut_off()

    def end(self) -> None:
        """End the slot, with all its states."""
        if not self.is_lost:
            self.is_lost = True
            self._pool.discard(self._worker)

    async def _in_turn(self, call: Call, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask the slot once it is free, and a processor with it."""
        async with self._turn, self._capacity:
            while self._left:
                drop = call._replace(kind=Kind.DROP, state=self._left.pop())
                await self._do(drop, partial(self._worker.order, drop))
            return await self._do(call, ask)

    async def _do(self, call: Call, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        if self.is_lost:
            raise WorkerLost("the session's slot is gone")
        self._running = call.state
        try:
            return await ask()
        except asyncio.CancelledError:
            if not self._worker.is_usable:
                self.end()
            raise
        except BaseException:
            self.end()
            raise
        finally:
            self._running = None


class Cell(msgspec.Struct, frozen=True):
    """A cell that ran, and how it ended."""

    snippet: Snippet
    exit_code: int | None


class ZygoteSession:
    """One session. ``ZygoteSandbox.open_session`` makes one."""

    def __init__(
        self,
        pool: Pool,
        capacity: asyncio.Semaphore,
        *,
        limits: Limits,
        idle_s: float,
        tier: Tier,
        on_end: Callable[["ZygoteSession"], None],
        on_begin: Callable[["ZygoteSession"], None],
    ) -> None:
        self._pool, self._capacity = pool, capacity
        self._limits, self._idle_s, self._tier = limits, idle_s, tier
        self._on_end, self._on_begin = on_end, on_begin
        self._turn = asyncio.Lock()
        self._host: Host | None = None
        self._state = 0
        self._cells: list[Cell] = []
        self._broken = 0
        self._ended = False
        on_begin(self)
        self._expiry = asyncio.get_running_loop().call_later(idle_s, self._end)

    async def run(self, snippet: Snippet) -> Result:
        """Run one cell on the state that the last good cell left; see ``Session.run``."""
        async with self._turn:
            with self._in_use():
                result = await self._run(snippet)
            if result.kept:
                self._cells.append(Cell(snippet, result.exit_code))
            return result

    async def branch(self) -> "ZygoteSession":
        """Return a second session that goes on from this state.

        Where the state cannot be copied, its cells run again at the branch's first call, which says so.

        Raises:
            SandboxError: this session has ended, or as many are live as may be.
        """
        async with self._turn:
            if self._ended:
                raise SandboxError("The session has ended; open another.")
            twin = ZygoteSession(
                self._pool, self._capacity, limits=self._limits, idle_s=self._idle_s, tier=self._tier,
                on_end=self._on_end, on_begin=self._on_begin,
            )  # fmt: skip
            twin._cells = list(self._cells)
            if self._host is not None and not self._host.is_lost:
                try:
                    with self._in_use(), twin._in_use():
                        number = await self._host.branch(self._limits, self._state)
                except WorkerLost:
                    number = None
                except BaseException:
                    twin._end()
                    raise
                if number is not None:
                    twin._host, twin._state = self._host, number
            return twin

    async def close(self) -> None:
        """End the session; a cell that runs now is cut off."""
        self._end()

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """Stop the session's clock while it is used."""
        self._expiry.cancel()
        try:
            yield
        finally:
            self._expiry.cancel()
            if not self._ended:
                self._expiry = asyncio.get_running_loop().call_later(self._idle_s, self._end)

    async def _run(self, snippet: Snippet) -> Result:
        result = expired(self._tier)
        for attempt in range(1, _ATTEMPTS + 1):
            if self._ended:
                return expired(self._tier)
            result = await self._attempt(snippet, attempt)
            if not result.is_sandbox_fault or self._pool.is_closed:
                break
        if result.status is Status.EXPIRED:
            self._end()
        return result

    async def _attempt(self, snippet: Snippet, attempt: int) -> Result:
        replayed = 0
        try:
            if self._host is None or self._host.is_lost:
                self._host = await Host.fork(self._pool, self._flavour(snippet), self._capacity)
                self._state = 0
                for cell in self._cells:
                    answer = await self._host.run(cell.snippet, self._limits, self._state)
                    again = judge(answer, cell.snippet.limits, self._tier, attempt)
                    if again.is_sandbox_fault:
                        return self._drop(again)
                    if not again.kept or again.exit_code != cell.exit_code:
                        return self._drop(expired(self._tier))
                replayed = len(self._cells)
            answer = await self._host.run(snippet, self._limits, self._state)
        except (WorkerLost, IsolationUnavailable, OSError) as error:
            return self._drop(lost(self._tier, attempt, str(error)))
        result = judge(answer, snippet.limits, self._tier, attempt, replayed=replayed)
        if self._ended:
            return expired(self._tier)
        if answer.ending.cause is Cause.GONE:  # an earlier cell broke its own state
            self._broken += 1
            may_replay = self._broken <= _REPLAYS_OF_BROKEN and not replayed  # they would break it again
            return self._drop(lost(self._tier, attempt) if may_replay else expired(self._tier))
        return self._drop(result) if result.is_sandbox_fault else result

    def _drop(self, result: Result) -> Result:
        if self._host is not None:
            self._host.leave(self._state)
            self._host = None
        return result

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._expiry.cancel()
            self._on_end(self)
            if self._host is not None:
                self._host.leave(self._state)
                self._host = None

    def _flavour(self, snippet: Snippet) -> Flavour:
        return flavour_of(*(cell.snippet.code for cell in self._cells), snippet.code)
