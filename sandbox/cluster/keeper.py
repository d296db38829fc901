"""Keeps one node running: starts it, has it prove its isolation, watches it, starts it anew when it fails.

Invariants: only a node that passed its health probe is in service; one that failed it, or was lost, is out of
service before its process is killed, so that its calls go elsewhere; the pause before the next start doubles
with each failure in a row. Knows nothing of Ray or of calls.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from ..result import Tier
from .canary import find_fault
from .config import ClusterConfig
from .link import Link, NodeLost
from .pool import Pool

_LONGEST_PAUSE_S = 60.0
_log = logging.getLogger(__name__)

Launch = Callable[[], Awaitable[Link]]


class NodeState(msgspec.Struct, kw_only=True):
    """What a user may want to know of a node: ``fault`` is why it last failed."""

    pid: int | None = None
    tier: Tier | None = None
    in_service: bool = False
    starts: int = 0
    fault: str = ""


class Keeper:
    """One node and its successors. ``tried`` is set once the first has come into service or has failed."""

    def __init__(self, name: str, launch: Launch, pool: Pool, config: ClusterConfig) -> None:
        self.state = NodeState()
        self.tried = asyncio.Event()
        self.name = name
        self._launch = launch
        self._pool = pool
        self._config = config
        self._failures = 0
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Stop the node, and keep it no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            self.state.fault = (await self._serve_once()).rstrip(".")
            self.tried.set()
            pause_s = min(_LONGEST_PAUSE_S, self._config.pause_s * 2**self._failures)
            self._failures += 1
            _log.warning(
                "%s of the sandbox: %s. It starts again in %.1f s.", self.name, self.state.fault, pause_s
            )
            await asyncio.sleep(pause_s)

    async def _serve_once(self) -> str:
        """Start a node and serve until it fails; return why it did."""
        self.state.starts += 1
        try:
            async with asyncio.timeout(self._config.start_s):
                node = await self._launch()
        except TimeoutError:
            return f"it did not start within {self._config.start_s:g} s"
        except Exception as error:
            return str(error) or repr(error)
        kill = True
        try:
            return await self._serve(node)
        except asyncio.CancelledError:
            kill = False
            raise
        finally:
            await node.stop(kill=kill)

    async def _serve(self, node: Link) -> str:
        self.state.pid, self.state.tier = node.hello.pid, node.hello.tier
        if fault := await self._probe(node):
            return fault
        self._pool.join(node)
        self.state.in_service = True
        self.tried.set()
        try:
            while True:
                done, _ = await asyncio.wait([node.loss], timeout=self._config.probe_every_s)
                if done:
                    return f"it was lost: {node.loss.result()}"
                if fault := await self._probe(node):
                    return fault
                self._failures = 0
        finally:
            self.state.in_service = False
            self._pool.leave(node)

    async def _probe(self, node: Link) -> str | None:
        # What was asked of the node before may run first, and is not held against it.
        limit_s = self._config.probe_s + node.backlog_s
        try:
            return await find_fault(node.run, node.hello.tier, limit_s)
        except NodeLost as error:
            return f"it was lost: {error}"
