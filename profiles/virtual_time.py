"""An event loop whose clock jumps to the next timer: hours pass in moments, always in the same order.

Invariants: time starts at 0 and moves only while nothing is ready to run; a timer runs when the clock shows
exactly its time; a loop with nothing ready and no timer is a ``Deadlock`` and never hangs. What is handed to
a thread is done at once, in the loop's own thread. Knows no sockets, processes or other threads.
"""

import asyncio
import gc
import math
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from headway.errors import HeadwayError

T = TypeVar("T")

_NAMED = 8


class Deadlock(HeadwayError):
    """Tasks wait, and nothing that could wake them is left."""


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop in virtual time; ``asyncio.Runner(loop_factory=VirtualLoop)`` runs on one.

    ``pass_s`` is how long each pass over ready work takes, in virtual seconds: 0 is exact, and more lets code
    that waits busily (``while not done: await sleep(0)``) come to an end. Where it is 0, ``busy_passes``
    of them at one moment count as a deadlock.
    """

    _scheduled: list[asyncio.TimerHandle]  # the base class's heap

    def __init__(self, *, pass_s: float = 0.0, busy_passes: int = 1_000_000) -> None:
        super().__init__()
        self._now = 0.0
        self._clock_resolution = math.ulp(0.0)
        self._selector = _Clock(self, pass_s, busy_passes)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Call ``func`` now: a thread would answer at a moment of real time."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def move_to(self, moment: float) -> None:
        """Set the clock. Its resolution follows, so that timers of just this moment run and no others."""
        self._now = moment
        self._clock_resolution = math.ulp(moment)

    def next_timer(self) -> float | None:
        """When the next timer is due; the base class has already dropped the cancelled ones."""
        return self._scheduled[0].when() if self._scheduled else None

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no events from outside."""

    def _write_to_self(self) -> None:
        """Nothing sleeps that would have to be woken."""


class _Clock:
    """Stands where a loop has its selector, and moves the clock instead of waiting."""

    def __init__(self, loop: VirtualLoop, pass_s: float, busy_passes: int) -> None:
        self._loop = loop
        self._pass_s = pass_s
        self._busy_passes = busy_passes
        self._passes = 0

    def select(self, timeout: float | None) -> tuple[()]:
        """Called once a pass; ``timeout`` is 0 while something is ready, None where nothing ever will be."""
        loop = self._loop
        if timeout == 0:
            self._count_a_pass()
            return ()
        self._passes = 0
        moment = loop.next_timer()
        if moment is None:
            raise Deadlock(
                f"deadlock at {loop.time():.6g} s of virtual time: no timer is left to wake anybody. "
                f"{_describe(loop)}"
            )
        loop.move_to(max(loop.time(), moment))
        return ()

    def close(self) -> None:
        """Nothing is held."""

    def _count_a_pass(self) -> None:
        if self._pass_s:
            self._loop.move_to(self._loop.time() + self._pass_s)
            return
        self._passes += 1
        if self._passes > self._busy_passes:
            self._passes = 0
            raise Deadlock(
                f"virtual time stands still at {self._loop.time():.6g} s: after {self._busy_passes:,} passes "
                f"of the loop a task still waits busily; let it sleep. {_describe(self._loop)}"
            )


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end in virtual time; raises ``Deadlock`` where it would wait for ever."""
    with _without_garbage_collection(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Simulations hold millions of tokens in long lists, and each collection would look at every one."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _describe(loop: asyncio.AbstractEventLoop) -> str:
    """How many tasks wait, and in what: the coroutines from the outermost to the one that waits."""
    tasks = asyncio.all_tasks(loop)
    places = Counter(_stack(task.get_coro()) for task in tasks)
    ranked = sorted(places.items(), key=lambda entry: (-entry[1], entry[0]))
    named = [f"{count} in {place}" for place, count in ranked[:_NAMED]]
    more = len(places) - len(named)
    return f"{len(tasks)} {'tasks wait' if len(tasks) > 1 else 'task waits'}: {', '.join(named)}" + (
        f" and {more} more places" if more else ""
    )


def _stack(awaited: Any) -> str:
    names = []
    while awaited is not None and hasattr(awaited, "__qualname__"):
        names.append(awaited.__qualname__)
        awaited = getattr(awaited, "cr_await", None)
    return " > ".join(names)
