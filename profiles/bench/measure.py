"""Measures one policy in one cell, on fresh engines of whatever kind is passed in."""

import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from headway.engine import Engine
from headway.engine.simulated import SimulatedEngine
from headway.scheduler import make_policy

from ..closed_loop import VIRTUAL_LIMIT_S, play
from ..virtual_time import run_virtual
from .cell import Cell, task_of
from .row import Measured, make_row

OpenEngines = Callable[[Cell], AbstractAsyncContextManager[Sequence[Engine]]]


async def measure(
    cell: Cell, policy: str, open_engines: OpenEngines, *, limit_s: float = VIRTUAL_LIMIT_S
) -> Measured:
    """Play a cell's workload under a policy, on engines that nothing has run on."""
    task = task_of(cell)
    async with open_engines(cell) as engines:
        result = await play(task.workload, engines, make_policy(policy), limit_s=limit_s)
    return Measured(cell, make_row(cell, policy, task, result), result.first_token_s)


def measure_simulated(cell: Cell, policy: str) -> Measured:
    """Measure on simulated engines, in virtual time."""
    try:
        return run_virtual(measure(cell, policy, simulated))
    finally:
        gc.collect()  # nothing was collected meanwhile


@asynccontextmanager
async def simulated(cell: Cell) -> AsyncIterator[Sequence[Engine]]:
    """Simulated engines of a cell's hardware."""
    yield [
        SimulatedEngine(cell.hardware, id=f"engine-{number}", kv_tokens=cell.kv_tokens)
        for number in range(cell.engines)
    ]
