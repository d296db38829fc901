"""Looks at the processes of a sandbox of many nodes."""

import asyncio
import time

import psutil

from headway.sandbox.cluster import RaySandbox

PATIENCE_S = 60.0


def processes(sandbox: RaySandbox) -> list[psutil.Process]:
    roots = [psutil.Process(node.pid) for node in sandbox.nodes]
    return roots + [child for root in roots for child in root.children(recursive=True)]


def await_end(left: list[psutil.Process]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while alive := [process for process in left if process.is_running() and process.status() != "zombie"]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.02)


async def await_service(sandbox: RaySandbox, *, starts: int = 0) -> None:
    """Wait until every node is in service and they were started ``starts`` times in all."""
    deadline = time.monotonic() + PATIENCE_S
    while sum(node.starts for node in sandbox.nodes) < starts or not all(n.in_service for n in sandbox.nodes):
        assert time.monotonic() < deadline, sandbox.nodes
        await asyncio.sleep(0.02)
