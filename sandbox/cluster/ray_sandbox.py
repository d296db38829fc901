"""Runs snippets on many machines, behind the same protocol as on one.

Invariants: every call has exactly one result; a call whose node is lost is repeated on another, up to three
nodes; one that a node could not serve is repeated elsewhere once; ``attempt`` counts all of it. No call waits
without limit: not for a node (``node_wait_s``), not on one (its health probe). Knows nothing of how nodes
start.
"""

import asyncio
import warnings
from types import TracebackType
from typing import Protocol, Self

import msgspec

from headway.errors import InputError

from ..errors import SandboxError
from ..result import Limits, Result, Snippet, Tier
from .config import ClusterConfig
from .keeper import Keeper, NodeState
from .link import Link, NodeLost
from .messages import NodeOptions
from .pool import Pool
from .session import ClusterSession, SessionOptions
from .tries import Tries


class Cluster(Protocol):
    """Where nodes run. ``Machines`` is the one that is."""

    nodes: int

    async def launch(self, options: NodeOptions) -> Link:
        """Start a node; raises ``SandboxError``."""
        ...

    async def close(self) -> None:
        """Free what the cluster holds itself, once its nodes are stopped."""
        ...


class RaySandbox:
    """The sandbox of many machines. ``start`` makes one; it belongs to the event loop that started it."""

    def __init__(self, cluster: Cluster, options: NodeOptions, config: ClusterConfig) -> None:
        self._cluster = cluster
        self._config = config
        self._pool = Pool(config)
        self._keepers = [
            Keeper(f"Node {number}", lambda: cluster.launch(options), self._pool, config)
            for number in range(cluster.nodes)
        ]

    @classmethod
    async def start(
        cls,
        nodes: int | None = None,
        *,
        workers_per_node: int | None = None,
        address: str | None = None,
        allow_tier_c: bool = False,
        config: ClusterConfig | None = None,
        cluster: Cluster | None = None,
    ) -> Self:
        """Start a node on every machine of a Ray cluster, and wait until each has proved its isolation.

        Every machine needs this package in the Python that its Ray runs on. A node that fails to start does
        not stop the others: it is warned of, and started again later.

        Args:
            nodes: how many nodes to start, spread evenly; by default one on every machine with processors.
            workers_per_node: how many snippets a node runs at once; by default its machine's processors.
            address: the Ray cluster's address, or ``auto``; by default the Ray that this process uses,
                or else a new one on this machine.
            allow_tier_c: see ``ZygoteSandbox.start``.
            config: what can be tuned.
            cluster: where nodes run, in place of Ray.

        Raises:
            InputError: a number is not positive, Ray is not installed or its cluster cannot be used.
            SandboxError: no node started; the message says why.
        """
        config = config or ClusterConfig()
        for name, number in (("nodes", nodes), ("workers_per_node", workers_per_node)):
            if number is not None and number < 1:
                raise InputError(
                    f"A sandbox cannot start with {name}={number}: use 1 or more, or leave it out."
                )
        if cluster is None:
            cluster = await _connect_to_ray(nodes, address, config.cpus_per_node)
        options = NodeOptions(
            workers=workers_per_node, max_sessions=config.sessions_per_node, allow_tier_c=allow_tier_c
        )
        sandbox = cls(cluster, options, config)
        try:
            await asyncio.gather(*(keeper.tried.wait() for keeper in sandbox._keepers))
            sandbox._check_start()
        except BaseException:
            await sandbox.close()
            raise
        return sandbox

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def tier(self) -> Tier:
        """The weakest isolation of the nodes."""
        return self._pool.tier

    @property
    def nodes(self) -> list[NodeState]:
        """How each node is."""
        return [keeper.state for keeper in self._keepers]

    async def run(self, snippet: Snippet) -> Result:
        """Run one snippet to its end or to its first limit; wait for a node with room first."""
        order, tries = self._pool.arrive(), Tries[Link]()
        while True:
            try:
                async with self._pool.lease(order, avoid=tries.avoid) as node:
                    outcome, lost = await self._run_on(node, snippet)
            except SandboxError as error:
                outcome = self._pool.lost(str(error))
                break
            if not tries.goes_on_after(None if lost else outcome, node):
                break
        return msgspec.structs.replace(outcome, attempt=tries.attempts + outcome.attempt)

    async def open_session(self, limits: Limits | None = None, *, idle_s: float = 1800.0) -> ClusterSession:
        """Open a session on a node; it is replayed on another when that one is lost.

        Raises:
            SandboxError: no node could open one.
        """
        options = SessionOptions(limits=limits, idle_s=idle_s, replay_cells=self._config.replay_cells)
        return await ClusterSession.open(self._pool, options)

    async def close(self) -> None:
        """Stop every node; calls in flight or waiting end as ``WORKER_LOST``."""
        self._pool.close()
        await asyncio.gather(*(keeper.close() for keeper in self._keepers))
        await self._cluster.close()

    async def _run_on(self, node: Link, snippet: Snippet) -> tuple[Result, bool]:
        try:
            return await node.run(snippet), False
        except NodeLost as error:
            return self._pool.lost(str(error)), True

    def _check_start(self) -> None:
        faults = [f"{keeper.name}: {keeper.state.fault}." for keeper in self._keepers if keeper.state.fault]
        if len(faults) == len(self._keepers):
            raise SandboxError(f"No node of the sandbox started. {' '.join(faults)}")
        if faults:
            message = f"{len(faults)} of {len(self._keepers)} nodes of the sandbox did not start."
            warnings.warn(f"{message} {' '.join(faults)}", RuntimeWarning, stacklevel=3)


async def _connect_to_ray(nodes: int | None, address: str | None, cpus_per_node: float) -> Cluster:
    try:
        from .machines import Machines
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise InputError("A sandbox of many machines needs Ray: install headway[ray].") from error
    return await Machines.connect(nodes=nodes, address=address, cpus_per_node=cpus_per_node)
