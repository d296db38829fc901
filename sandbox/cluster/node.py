"""One node's sandbox, asked and answered in batches.

Invariants: each request is served once and answered once, as soon as it is done, unless it was cancelled;
requests start in the order in which they came. Knows nothing of Ray, of other nodes or of retries.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from headway.errors import HeadwayError

from ..executor import ZygoteSandbox
from ..result import Result, Session, Status
from .messages import (
    Answer,
    Answers,
    Branch,
    Close,
    Hello,
    NodeOptions,
    Open,
    Refused,
    Request,
    Requests,
    Run,
)

# A stream keeps a few bytes of each batch that it ever carried: it ends now and then, and is asked for anew.
_BATCHES_PER_STREAM = 10_000


class Node:
    """Serves one caller. ``start`` comes first; everything runs in the loop that called it."""

    def __init__(self) -> None:
        self._sandbox: ZygoteSandbox
        self._sessions: dict[int, Session] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._done: list[tuple[int, Answer]] = []
        self._news = asyncio.Event()

    async def start(self, options: NodeOptions) -> Hello | Refused:
        """Start the sandbox."""
        workers = options.workers or len(os.sched_getaffinity(0))
        try:
            self._sandbox = await ZygoteSandbox.start(
                workers=workers,
                max_sessions=options.max_sessions,
                allow_tier_c=options.allow_tier_c,
                unsafe_no_isolation=options.unsafe_no_isolation,
            )
        except HeadwayError as error:
            return Refused(str(error))
        return Hello(os.getpid(), self._sandbox.tier, workers)

    async def submit(self, requests: Requests) -> None:
        """Take a batch in; its answers come out of ``answers``."""
        for number, request in requests:
            if request is not None:
                self._tasks[number] = asyncio.create_task(self._serve(number, request))
            elif number in self._tasks:
                self._tasks[number].cancel()

    async def answers(self) -> AsyncIterator[Answers]:
        """Yield what is done by now, whenever there is something; ask again when it ends."""
        for _ in range(_BATCHES_PER_STREAM):
            await self._news.wait()
            self._news.clear()
            done, self._done = self._done, []
            yield done

    async def close(self) -> None:
        """Stop the sandbox and all that it runs."""
        await self._sandbox.close()

    async def _serve(self, number: int, request: Request) -> None:
        try:
            answer = await self._answer(request)
        except HeadwayError as error:
            answer = Refused(str(error))
        except Exception as error:  # a caller that gets no answer would wait for ever
            answer = Refused(repr(error))
        finally:
            del self._tasks[number]
        self._done.append((number, answer))
        self._news.set()

    async def _answer(self, request: Request) -> Answer:
        match request:
            case Run(snippet, None):
                return await self._sandbox.run(snippet)
            case Run(snippet, session):
                if session not in self._sessions:
                    return Result(status=Status.EXPIRED, tier=self._sandbox.tier)
                result = await self._sessions[session].run(snippet)
                if result.status is Status.EXPIRED:
                    self._sessions.pop(session, None)
                return result
            case Open(session, limits, idle_s):
                self._sessions[session] = await self._sandbox.open_session(limits, idle_s=idle_s)
            case Branch(session, branch):
                if session not in self._sessions:
                    return Refused("The session has expired: open a new one.")
                self._sessions[branch] = await self._sessions[session].branch()
            case Close(session):
                if session in self._sessions:
                    await self._sessions.pop(session).close()
        return None
