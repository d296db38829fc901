"""Starts nodes as Ray actors, spread evenly over the machines of a Ray cluster. All that knows Ray is here.

Invariants: an actor that did not become a ``Link`` is killed; a Ray that was started here is stopped by
``close``, one that was found running is not. Knows nothing of calls.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from typing import Any, Self

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from headway.errors import InputError

from ..errors import SandboxError
from .link import Link
from .messages import Answers, Hello, NodeOptions, Refused, Requests
from .node import Node
from .placement import choose_machine

_REACH_S = 10.0


class Machines:
    """The machines of a Ray cluster. ``connect`` makes one; ``nodes`` is how many nodes they shall hold."""

    def __init__(self, *, nodes: int, per_machine: int, cpus_per_node: float, owns_ray: bool) -> None:
        self.nodes = nodes
        self._per_machine = per_machine
        self._owns_ray = owns_ray
        self._actor = ray.remote(num_cpus=cpus_per_node, max_restarts=0, max_task_retries=0)(Node)
        self._used: dict[_RemoteNode, str] = {}

    @classmethod
    async def connect(cls, *, nodes: int | None, address: str | None, cpus_per_node: float) -> Self:
        """Join the Ray cluster at an address, or the one that this process uses, or start one here.

        Args:
            nodes: how many nodes to start; by default one on every machine that has processors.
            address: a Ray cluster's address, or ``auto``.
            cpus_per_node: how many processors Ray sets aside for each node.

        Raises:
            InputError: there is no such cluster, or no machine in it has processors.
        """
        owns_ray = not ray.is_initialized()
        if owns_ray:
            try:
                await _reach(address)
                await asyncio.to_thread(ray.init, address, include_dashboard=False, log_to_driver=False)
            except (OSError, RuntimeError, ValueError) as error:
                where = f"at {address}" if address else "on this machine"
                raise InputError(
                    f"Ray {where} cannot be used: {error}. Is `ray start --head` running?"
                ) from error
        machines = len(await _alive_machines())
        if not machines:
            raise InputError("No machine of the Ray cluster has processors: add one with `ray start`.")
        nodes = nodes or machines
        per_machine = math.ceil(nodes / machines)
        return cls(nodes=nodes, per_machine=per_machine, cpus_per_node=cpus_per_node, owns_ray=owns_ray)

    async def launch(self, options: NodeOptions) -> Link:
        """Start a node on the machine that has the fewest of ours.

        Raises:
            SandboxError: the node refused, or no machine is free for it.
        """
        alive = await _alive_machines()
        machine = choose_machine(alive, self._used.values(), at_most=self._per_machine)
        if machine is None:
            raise SandboxError("no alive machine of the Ray cluster is free for it")
        strategy = NodeAffinitySchedulingStrategy(machine, soft=False)
        remote = _RemoteNode(self._actor.options(scheduling_strategy=strategy).remote(), self._used)
        self._used[remote] = machine
        try:
            return Link(remote, await remote.start(options))
        except RayError as error:
            remote.kill()
            raise SandboxError(str(error)) from error
        except BaseException:
            remote.kill()
            raise

    async def close(self) -> None:
        """Leave Ray, and stop it if it was started here."""
        if self._owns_ray:
            await asyncio.to_thread(ray.shutdown)


class _RemoteNode:
    """A ``Node`` in a Ray actor."""

    def __init__(self, actor: Any, used: dict["_RemoteNode", str]) -> None:
        self._actor = actor
        self._used = used

    async def start(self, options: NodeOptions) -> Hello:
        hello: Hello | Refused = await self._actor.start.remote(options)
        if isinstance(hello, Refused):
            raise SandboxError(hello.reason)
        return hello

    async def submit(self, requests: Requests) -> None:
        await self._actor.submit.remote(requests)

    async def answers(self) -> AsyncIterator[Answers]:
        async for answers in self._actor.answers.options(num_returns="streaming").remote():
            yield await answers

    async def close(self) -> None:
        await self._actor.close.remote()

    def kill(self) -> None:
        self._used.pop(self, None)
        with contextlib.suppress(RayError):
            ray.kill(self._actor)


async def _reach(address: str | None) -> None:
    """Raise ``OSError`` if nobody listens at ``host:port``: Ray itself tries for minutes, and then exits."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal():
        async with asyncio.timeout(_REACH_S):
            _, writer = await asyncio.open_connection(host, int(port))
        writer.close()


async def _alive_machines() -> list[str]:
    machines = await asyncio.to_thread(ray.nodes)
    return sorted(m["NodeID"] for m in machines if m["Alive"] and m["Resources"].get("CPU", 0) > 0)
