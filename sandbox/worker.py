"""A slot seen from the parent: one call at a time over one socket.

Invariant: a call ends with the slot's report, or with ``WorkerLost`` after which the worker is of no use. The
parent's own clock bounds a slot that does not answer. Knows nothing of queues, retries or flavours.
"""

import asyncio
import socket

from .cgroup import Group
from .errors import IsolationUnavailable, WorkerLost, ZygoteLost
from .wire import (
    ENDING_HEADER_BYTES,
    Call,
    Ending,
    ending_body_sizes,
    pack_call,
    unpack_ending,
)
from .zygote import Zygote

_READY = b"\x01"
_GRACE_S = 30.0


class Worker:
    """The parent's end of a slot. ``fork`` makes one."""

    def __init__(
        self,
        zygote: Zygote,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        group: Group | None,
    ) -> None:
        self.group = group
        self._zygote = zygote
        self._number = number
        self._reader = reader
        self._writer = writer

    @classmethod
    async def fork(cls, zygote: Zygote, group: Group | None, *, within_s: float) -> "Worker":
        """Have a zygote fork a slot, whose calls run in the group if any, and wait until it is ready."""
        ours, theirs = socket.socketpair()
        with theirs:
            number = zygote.fork_slot(theirs, group.files if group else ())
        if group is not None:
            group.close_files()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        worker = cls(zygote, number, reader, writer, group)
        try:
            async with asyncio.timeout(within_s):
                await worker._await_ready()
        except TimeoutError as error:
            worker.close()
            raise WorkerLost("the slot did not start") from error
        except BaseException:
            worker.close()
            raise
        return worker

    @property
    def is_alive(self) -> bool:
        """Whether the slot still holds its end of the socket."""
        return not self._reader.at_eof()

    async def run(self, call: Call) -> Ending:
        """Run one call."""
        try:
            async with asyncio.timeout(call.wall_s + _GRACE_S):
                self._writer.write(pack_call(call))
                await self._writer.drain()
                header = await self._reader.readexactly(ENDING_HEADER_BYTES)
                stdout_size, stderr_size = ending_body_sizes(header)
                stdout = await self._reader.readexactly(stdout_size)
                return unpack_ending(header, stdout, await self._reader.readexactly(stderr_size))
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            kind = WorkerLost if self._zygote.is_alive else ZygoteLost
            raise kind(str(error)) from error

    def close(self) -> None:
        """End the slot and whatever it runs."""
        self._writer.transport.abort()
        self._zygote.kill_slot(self._number)

    async def _await_ready(self) -> None:
        word = await self._reader.read(1)
        if word == _READY:
            return
        if not word:
            raise WorkerLost("the slot ended without a word")
        raise IsolationUnavailable("slot", (await self._reader.read()).decode("utf-8", "replace"))
