"""The time that an agent may take outside its turns: the clock stands still while a turn waits or runs.

Waiting for headroom is the scheduler's doing and a turn has a limit of its own, so neither counts.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class AgentClock:
    """An ``async with`` whose body may take ``seconds``; raises ``TimeoutError`` that says so."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise TimeoutError(f"the agent took more than {self._seconds:g} s outside its turns") from error

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the clock for the time of the body."""
        deadline = self._timeout.when()
        if deadline is None or self._timeout.expired():
            yield
            return
        loop = asyncio.get_running_loop()
        left = deadline - loop.time()
        self._timeout.reschedule(None)
        try:
            yield
        finally:
            self._timeout.reschedule(loop.time() + left)
