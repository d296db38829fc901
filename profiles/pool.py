"""Makes many calls in several processes, and hands each result over as it is there.

Invariants: what was handed over stays so, whatever happens to the rest; a call that fails is handed over as a
failure and takes no other along; no process outlives this one. Knows nothing of what the calls do.
"""

import os
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Generic, TypeVar, TypeVarTuple

import msgspec

from headway.engine.lifeline import end_with
from headway.errors import HeadwayError

Arguments = TypeVarTuple("Arguments")
Given = TypeVar("Given")
Result = TypeVar("Result")


class FailedCall(msgspec.Struct, Generic[Given], frozen=True):
    """A call that did not get through, and why."""

    arguments: Given
    why: str


def call_all(
    call: Callable[[*Arguments], Result], arguments: Sequence[tuple[*Arguments]], *, jobs: int
) -> Generator[Result | FailedCall[tuple[*Arguments]], None, None]:
    """Yield the result of every call as it ends. Closing the iterator ends the processes at once."""
    pool = ProcessPoolExecutor(
        max_workers=max(min(jobs, len(arguments)), 1),
        mp_context=get_context("spawn"),
        initializer=_work_for,
        initargs=(os.getpid(),),
    )
    try:
        futures: dict[Future[Result], tuple[*Arguments]]
        futures = {pool.submit(call, *given): given for given in arguments}
        for future in as_completed(futures):
            outcome: Result | FailedCall[tuple[*Arguments]] = _outcome(futures[future], future)
            yield outcome
    except BaseException:
        _end(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _work_for(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent, group=False)


def _outcome(given: Given, future: "Future[Result]") -> Result | FailedCall[Given]:
    try:
        return future.result()
    except BrokenProcessPool:
        raise HeadwayError(
            "a process that measured died, most likely of too little memory; try fewer at once (--jobs 1)"
        ) from None
    except Exception as error:
        return FailedCall(given, str(error) if isinstance(error, HeadwayError) else _named(error))


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _end(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()
