"""Runs an asynchronous command: on uvloop, ended in order by Ctrl-C and SIGTERM, at once by a second of them.

Invariants: once a signal has come, ``Interrupted`` is what comes out, whatever fails while the command ends;
what was added to a file that ``flushing`` looks after is written, even where another file takes no more.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import uvloop
from rich.console import Console

from .endings import finally_all, note, try_all

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """The command was ended by a signal; its shell status is 128 + the signal's number."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


def run_async(command: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command to its end; a signal cancels it, and ``Interrupted`` is raised once it has cleaned up."""
    received: list[int] = []

    async def main() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(signum: int) -> None:
            if not received:  # several may have come before the first was heard
                received.append(signum)
                _end_at_once_next_time(loop)
                task.cancel()

        for signum in _SIGNALS:
            loop.add_signal_handler(signum, stop, signum)
        return await command()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())
    except BaseException as error:
        if not received:
            raise
        interrupted = Interrupted(received[0])
        if not isinstance(error, asyncio.CancelledError):
            note(interrupted, error)
        for text in getattr(error, "__notes__", []):
            interrupted.add_note(text)
        raise interrupted from error


def _end_at_once_next_time(loop: asyncio.AbstractEventLoop) -> None:
    """Leave the next signal to the kernel, which acts even while this process is deep in a computation."""
    for signum in _SIGNALS:
        loop.remove_signal_handler(signum)
        signal.signal(signum, signal.SIG_DFL)
    Console().show_cursor(True)
    print("stopping; again to stop at once", file=sys.stderr, flush=True)


class Flushable(Protocol):
    """Something that buffers."""

    def flush(self) -> None:
        """Write what is buffered."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...


@contextlib.asynccontextmanager
async def flushing(*files: Flushable, every_s: float = 1.0) -> AsyncIterator[None]:
    """Flush files every so often while the body runs, and close them after it.

    All files are flushed, in order, and all are closed, whichever of them fails. A file that cannot be
    written ends the body; its error comes out as the cause.
    """

    async def flush_forever() -> None:
        while True:
            await asyncio.sleep(every_s)
            try_all(*(file.flush for file in files))

    with finally_all(*(file.close for file in files)):
        async with asyncio.TaskGroup() as group:
            flusher = group.create_task(flush_forever())
            yield
            flusher.cancel()
