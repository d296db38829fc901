"""A slot seen from the parent: one call at a time over one socket.

Invariant: a call ends with the slot's report, or with ``WorkerLost`` after which the worker is of no use. The
parent's own clock bounds a slot that does not answer. Knows nothing of queues, retries or flavours.
"""

import asyncio
import contextlib
import socket
import struct
from typing import NamedTuple

from .call_files import CallFiles, Output
from .cgroup import Group
from .errors import IsolationUnavailable, NotStarted, WorkerLost, ZygoteLost
from .wire import CANCEL, ENDING_BYTES, Call, Ending, pack_call, unpack_ending
from .zygote import Zygote

_READY = b"\x01"
_LONGEST_WORD = 4096
_AT_ONCE = 1 << 20  # more than this is copied in a thread, beside the event loop
_NOTHING = Output(b"", 0)
_STATES_SHARE = 2 / 3  # of the patience: a slot must find a state that is silent before it is given up itself


class Answer(NamedTuple):
    """How a call ended, and what it wrote."""

    ending: Ending
    stdout: Output = _NOTHING
    stderr: Output = _NOTHING


class Worker:
    """The parent's end of a slot. ``fork`` makes one."""

    def __init__(
        self, zygote: Zygote, number: int, line: socket.socket, group: Group | None, patience_s: float
    ) -> None:
        self._patience_s = patience_s
        self.group = group
        self._zygote = zygote
        self._number = number
        self._line = line
        self._waits = self._closed = False
        self.is_usable = True

    @classmethod
    async def fork(cls, zygote: Zygote, group: Group | None, *, patience_s: float) -> "Worker":
        """Have a zygote fork a slot, whose calls run in the group if any, and wait until it is ready.

        ``patience_s`` is how long it may take for that, and for an answer beyond a call's wall limit.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                number = zygote.fork_slot(theirs, group.files if group else ())
        except BaseException:
            ours.close()
            raise
        if group is not None:
            group.close_files()
        worker = cls(zygote, number, ours, group, patience_s)
        try:
            async with asyncio.timeout(patience_s):
                await worker._await_ready()
        except TimeoutError as error:
            worker.close()
            raise NotStarted("the slot did not start") from error
        except BaseException:
            worker.close()
            raise
        return worker

    @property
    def is_alive(self) -> bool:
        """Whether the slot still holds its end of the socket."""
        try:
            return bool(self._line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    async def run(self, call: Call, code: bytes, stdin: bytes = b"") -> Answer:
        """Run one snippet or cell."""
        with await _files_of(code, stdin) as files:
            ending = await self._ask(call, files.descriptors)
            return Answer(ending, *files.outputs(call.output_bytes))

    async def order(self, call: Call) -> Answer:
        """Do something of a session's states that runs no code."""
        return Answer(await self._ask(call, []))

    def close(self) -> None:
        """End the slot and whatever it runs; a call in flight ends as ``WorkerLost``."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        if not self._waits:  # or the loop would never hear of the end
            self._line.close()
        self._zygote.kill_slot(self._number)

    async def _ask(self, call: Call, files: list[int]) -> Ending:
        try:
            async with asyncio.timeout(call.wall_s + self._patience_s) as limit:
                timed = call._replace(answer_s=_STATES_SHARE * self._patience_s)
                socket.send_fds(self._line, [pack_call(timed)], files)
                try:
                    return unpack_ending(await self._hear(ENDING_BYTES))
                except asyncio.CancelledError:
                    if not limit.expired():  # nobody wants the answer; else the slot is given up at once
                        await self._cut_off()
                    raise
        except (OSError, TimeoutError, ValueError, struct.error) as error:
            kind = WorkerLost if self._zygote.is_alive else ZygoteLost
            raise kind(str(error)) from error

    def cut_off(self) -> None:
        """Have the slot end the call that runs now, if any; its answer comes as always."""
        with contextlib.suppress(OSError):
            self._line.send(CANCEL)

    async def _cut_off(self) -> None:
        """End a call whose answer nobody waits for, so that the slot can take the next one."""
        self.is_usable = False
        self.cut_off()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(self._patience_s):
                self.is_usable = bool(await self._hear(ENDING_BYTES))

    async def _await_ready(self) -> None:
        word = await self._hear(_LONGEST_WORD)
        if not word:
            raise WorkerLost("the slot ended without a word")
        if word != _READY:
            raise IsolationUnavailable("slot", word[1:].decode("utf-8", "replace"))

    async def _hear(self, size: int) -> bytes:
        """Receive one word, which stays on the line where the wait for it is cancelled as it comes."""
        self._waits = True
        try:
            while True:
                try:
                    return self._line.recv(size)
                except BlockingIOError:
                    await _readable(self._line)
        finally:
            self._waits = False
            if self._closed:
                self._line.close()


async def _readable(line: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(line, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(line)


async def _files_of(code: bytes, stdin: bytes) -> CallFiles:
    if len(code) + len(stdin) <= _AT_ONCE:
        return CallFiles(code, stdin)
    making = asyncio.ensure_future(asyncio.to_thread(CallFiles, code, stdin))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:  # the thread goes on regardless
        making.add_done_callback(lambda made: None if made.exception() else made.result().close())
        raise
