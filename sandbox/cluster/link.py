"""The caller's end of a node: sends requests in batches and hands each answer to the one who waits for it.

Invariants: a request ends with its answer, or with ``NodeLost`` after which the node is of no use; requests
of one turn of the loop, and those that come while a batch is being handed over, travel together. A node that
says nothing is not noticed here: the health probe is the limit of every wait. Knows nothing of retries.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from ..errors import SandboxError
from ..result import Result, Snippet, Status
from .batch import take_batch
from .messages import Answer, Answers, Hello, Refused, Request, Requests, Run

_STOP_S = 20.0
_log = logging.getLogger(__name__)


class NodeLost(Exception):
    """A node went away before it answered; what was asked of it may be asked of another."""


class Remote(Protocol):
    """A ``Node`` in another process; whatever its methods raise means that it is lost."""

    async def submit(self, requests: Requests) -> None:
        """Hand a batch over."""
        ...

    def answers(self) -> AsyncIterator[Answers]:
        """Yield answers as they come; may end, and be asked again."""
        ...

    async def close(self) -> None:
        """End what the node runs."""
        ...

    def kill(self) -> None:
        """End the node's process now."""
        ...


class Link:
    """A running node. ``loss`` is why it is lost, once it is; it belongs to the event loop that made it."""

    def __init__(self, remote: Remote, hello: Hello) -> None:
        self.hello = hello
        self.session_names = itertools.count()
        self.loss: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.on_loss: Callable[[], None] = lambda: None
        self._remote = remote
        self._numbers = itertools.count()
        self._outbox: deque[tuple[int, Request | None]] = deque()
        self._asked: dict[int, tuple[Request, asyncio.Future[Answer]]] = {}
        self._sender: asyncio.Task[None] | None = None
        self._receiver = asyncio.create_task(self._receive())

    @property
    def backlog_s(self) -> float:
        """The longest that the node may take for the snippets that were asked of it, in seconds."""
        walls = sum(
            request.snippet.limits.wall_s for request, _ in self._asked.values() if isinstance(request, Run)
        )
        return walls / self.hello.workers

    async def ask(self, request: Request) -> Answer:
        """Return the node's answer; whoever stops waiting for it takes the request back.

        Raises:
            NodeLost: the node is lost, or was before.
        """
        if self.loss.done():
            raise NodeLost(self.loss.result())
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = request, answer
        self._post(number, request)
        try:
            return await answer
        except asyncio.CancelledError:
            self._post(number, None)
            raise
        finally:
            del self._asked[number]

    async def run(self, snippet: Snippet, session: int | None = None) -> Result:
        """Run a snippet, by itself or as a cell of a session.

        Raises:
            NodeLost: the node is lost, or was before.
        """
        answer = await self.ask(Run(snippet, session))
        if isinstance(answer, Result):
            return answer
        reason = answer.reason if answer is not None else ""
        return Result(status=Status.SANDBOX_ERROR, stderr=reason, tier=self.hello.tier)

    async def order(self, request: Request) -> None:
        """Have something done that has no result.

        Raises:
            NodeLost: the node is lost, or was before.
            SandboxError: the node refused.
        """
        answer = await self.ask(request)
        if isinstance(answer, Refused):
            raise SandboxError(answer.reason)

    def tell(self, request: Request) -> None:
        """Ask for something without waiting for it."""
        self._post(next(self._numbers), request)

    async def stop(self, *, kill: bool = False) -> None:
        """End the node's process and all below it, at once or in good order; what is asked of it is lost."""
        self._lose("The node was stopped.")
        try:
            if not kill:
                async with asyncio.timeout(_STOP_S):
                    await self._remote.close()
        except Exception as error:
            _log.warning("A node of the sandbox is killed, because it did not stop: %r", error)
        finally:
            self._remote.kill()
            await asyncio.gather(*self._end_tasks(), return_exceptions=True)

    def _end_tasks(self) -> list[asyncio.Task[None]]:
        tasks = [task for task in (self._receiver, self._sender) if task is not None]
        for task in tasks:
            task.cancel()
        return tasks

    def _post(self, number: int, request: Request | None) -> None:
        self._outbox.append((number, request))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._outbox and not self.loss.done():
                await self._remote.submit(take_batch(self._outbox))
        except Exception as error:
            self._lose(str(error))

    async def _receive(self) -> None:
        try:
            while True:
                async for answers in self._remote.answers():
                    for number, answer in answers:
                        self._deliver(number, answer)
        except Exception as error:
            self._lose(str(error))

    def _deliver(self, number: int, answer: Answer) -> None:
        if number in self._asked and not self._asked[number][1].done():
            self._asked[number][1].set_result(answer)

    def _lose(self, reason: str) -> None:
        if not self.loss.done():
            self.loss.set_result(reason)
            self.on_loss()  # before anyone can ask again
        for _, answer in self._asked.values():
            if not answer.done():
                answer.set_exception(NodeLost(reason))
