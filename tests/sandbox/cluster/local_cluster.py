"""Nodes in this process, with a real sandbox each, that snippets can tell to misbehave."""

import asyncio
import itertools
from collections.abc import AsyncIterator

from headway.sandbox import Limits, Result, SandboxError, Snippet, Status, Tier
from headway.sandbox.cluster.link import Link
from headway.sandbox.cluster.messages import Answer, Answers, Hello, NodeOptions, Request, Requests, Run
from headway.sandbox.cluster.node import Node

DIES = "# here a node dies"
FIRST_DIES = "# here the first node dies"
FAILS_ON_THE_FIRST = "# here the first node fails"
DIFFERS_LATER = "# here a later node raises"


def snippet(code: str, *, wall_s: float = 60.0) -> Snippet:
    return Snippet(code=code, limits=Limits(wall_s=wall_s, cpu_s=60.0))


class OddNode(Node):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.died = asyncio.Event()

    async def _answer(self, request: Request) -> Answer:
        code = request.snippet.code if isinstance(request, Run) else ""
        if DIES in code or (FIRST_DIES in code and self.number == 1):
            self.died.set()
        if FAILS_ON_THE_FIRST in code and self.number == 1:
            return Result(status=Status.SANDBOX_ERROR, tier=Tier.B, attempt=3)
        if DIFFERS_LATER in code and self.number > 1 and isinstance(request, Run):
            request = Run(snippet("1 / 0"), request.session)
        return await super()._answer(request)


class LocalRemote:
    def __init__(self, node: OddNode) -> None:
        self._node = node
        self._end: asyncio.Task[None] | None = None

    async def submit(self, requests: Requests) -> None:
        if self._node.died.is_set():
            raise ConnectionError("the node died")
        await self._node.submit(requests)

    async def answers(self) -> AsyncIterator[Answers]:
        died = asyncio.create_task(self._node.died.wait())
        answers = self._node.answers()
        while True:
            batch = asyncio.ensure_future(anext(answers))
            await asyncio.wait([died, batch], return_when=asyncio.FIRST_COMPLETED)
            if died.done():
                batch.cancel()
                raise ConnectionError("the node died")
            yield batch.result()

    async def close(self) -> None:
        await self._node.close()

    def kill(self) -> None:
        self._node.died.set()
        self._end = asyncio.create_task(self._node.close())


class LocalCluster:
    """``nodes`` at a time, and at most ``launches`` of them in all, numbered from 1."""

    def __init__(self, nodes: int, *, launches: int = 1000) -> None:
        self.nodes = nodes
        self._launches = launches
        self._numbers = itertools.count(1)
        self._started: list[OddNode] = []

    async def launch(self, options: NodeOptions) -> Link:
        node = OddNode(next(self._numbers))
        if node.number > self._launches:
            raise SandboxError("there are no more nodes")
        hello = await node.start(options)
        assert isinstance(hello, Hello), hello
        self._started.append(node)
        return Link(LocalRemote(node), hello)

    async def close(self) -> None:
        await asyncio.gather(*(node.close() for node in self._started))
