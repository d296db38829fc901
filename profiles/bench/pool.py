"""Measures many (cell, policy) pairs in several processes, and hands each over as it is done.

Invariants: what was handed over stays so, whatever happens to the rest; a pair that fails is handed over as a
failure and takes no other along; no process outlives this one.
"""

import os
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import msgspec

from headway.engine.lifeline import end_with
from headway.errors import HeadwayError

from .cell import Cell
from .measure import measure_simulated
from .row import Measured

Arm = tuple[Cell, str]


class Failed(msgspec.Struct, frozen=True):
    """A policy that did not get through a cell, and why."""

    cell: Cell
    policy: str
    why: str


Measure = Callable[[Cell, str], Measured]


def measure_all(
    arms: Sequence[Arm], *, jobs: int, measure: Measure = measure_simulated
) -> Generator[Measured | Failed, None, None]:
    """Yield every pair's measurement as it ends. Closing the iterator ends the processes at once."""
    pool = ProcessPoolExecutor(
        max_workers=max(min(jobs, len(arms)), 1),
        mp_context=get_context("spawn"),
        initializer=_work_for,
        initargs=(os.getpid(),),
    )
    try:
        futures = {pool.submit(measure, *arm): arm for arm in arms}
        for future in as_completed(futures):
            yield _outcome(futures[future], future)
    except BaseException:
        _end(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _work_for(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent, group=False)


def _outcome(arm: Arm, future: "Future[Measured]") -> Measured | Failed:
    try:
        return future.result()
    except BrokenProcessPool:
        raise HeadwayError(
            "a process of the benchmark died, most likely of too little memory; try fewer at once (--jobs 1)"
        ) from None
    except Exception as error:
        why = str(error) if isinstance(error, HeadwayError) else f"{type(error).__name__}: {error}"
        return Failed(*arm, why)


def _end(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()
