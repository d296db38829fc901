"""Runs an asynchronous command: on uvloop, ended in order by Ctrl-C and SIGTERM."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import uvloop

T = TypeVar("T")

FLUSH_EVERY_S = 1.0


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
            if not received:
                task.cancel()
            received.append(signum)

        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, stop, signum)
        return await command()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())
    except asyncio.CancelledError:
        if received:
            raise Interrupted(received[0]) from None
        raise


class Flushable(Protocol):
    """Something that buffers."""

    def flush(self) -> None:
        """Write what is buffered."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...


@contextlib.asynccontextmanager
async def flushing(*files: Flushable) -> AsyncIterator[None]:
    """Flush files once a second while the body runs, and close them after it.

    A file that cannot be written ends the body; its error comes out as the cause.
    """

    async def flush_forever() -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            for file in files:
                file.flush()

    try:
        async with asyncio.TaskGroup() as group:
            flusher = group.create_task(flush_forever())
            yield
            flusher.cancel()
    finally:
        for file in files:
            file.close()
