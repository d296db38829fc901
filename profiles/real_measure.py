"""Measures a policy in a cell of the benchmark on real engines instead of simulated ones.

Knows nothing of plans or reports.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from headway.engine import Engine

from .bench.cell import Cell
from .bench.measure import measure
from .bench.row import Measured
from .real_engines import TURN_LIMIT_S, RealEngines, open_real_engines


def measure_real(cell: Cell, policy: str) -> Measured:
    """Measure on fresh vLLM engines of the sizes that the cell's hardware has, on this machine's clock."""
    return asyncio.run(measure(cell, policy, real, limit_s=TURN_LIMIT_S))


def real(cell: Cell) -> AbstractAsyncContextManager[Sequence[Engine]]:
    """Real engines of the random model for a cell."""
    return open_real_engines(sizes_of(cell))


def sizes_of(cell: Cell) -> RealEngines:
    """What engines a cell asks for."""
    hardware = cell.hardware
    return RealEngines(
        engines=cell.engines,
        kv_tokens=cell.kv_tokens,
        max_context=hardware.max_context,
        max_num_seqs=hardware.max_num_seqs,
        max_batched_tokens=hardware.max_batched_tokens,
        block_size=hardware.block_size,
    )
