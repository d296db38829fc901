"""An engine in a process of its own, behind the ``Engine`` protocol.

Invariants: whatever way the engine's process ends, every call in flight raises ``EngineError`` and so does
every later one; after ``close`` none of its processes is left. Knows nothing of vLLM (which is imported in
the engine's process only) nor of other engines.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from headway.errors import InputError

from . import wire
from .config import EngineConfig
from .engine_log import cause_of_end
from .errors import EngineDead, EngineError
from .protocol import EngineInfo, EngineStats, Generation, Request
from .request_check import check_request
from .weight_transfer import WeightTransfer

CLOSE_S = 5.0
OnPhase = Callable[[str, str], None]


class EngineProcess:
    """Implements ``Engine``. ``start`` gives a running one."""

    def __init__(
        self,
        engine_id: str,
        *,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        log: Path,
    ) -> None:
        self.id = engine_id
        self.log = log
        self._process = process
        self._reader = reader
        self._writer = writer
        self._info: EngineInfo | None = None
        self._stats = EngineStats()
        self._answers: dict[int, asyncio.Future[Generation | None]] = {}
        self._in_flight: set[str] = set()
        self._last_call = 0
        self._ended: str | None = None
        self._reports: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        config: EngineConfig,
        *,
        engine_id: str,
        environment: dict[str, str],
        log: Path,
        on_phase: OnPhase = lambda engine_id, phase: None,
    ) -> "EngineProcess":
        """Start a process for a resolved ``config`` and wait until the engine is ready.

        Raises ``EngineError`` with the cause where it does not start; on that, and when cancelled, nothing is
        left behind.
        """
        on_phase(engine_id, "starting")
        engine = await _spawn(engine_id, environment=environment, log=log)
        try:
            engine._send(wire.Start(engine_id, config))
            engine._info = await engine._ready(on_phase)
        except BaseException:
            await engine.close()
            raise
        engine._reports = asyncio.create_task(engine._read_reports())
        on_phase(engine_id, "ready")
        return engine

    @property
    def info(self) -> EngineInfo:
        """What is fixed once the engine has started."""
        if self._info is None:
            raise RuntimeError(f"engine {self.id} has not started")
        return self._info

    @property
    def pid(self) -> int:
        """The process that holds the engine; it leads a process group of its own."""
        return self._process.pid

    def stats(self) -> EngineStats:
        """The latest figures that the engine has sent."""
        return self._stats

    async def generate(self, request: Request) -> Generation:
        """Generate one turn; cancelling the caller aborts it on the engine."""
        check_request(request, self.info, in_flight=self._in_flight)
        self._in_flight.add(request.id)
        try:
            generation = await self._call(wire.Generate(self._next_call(), request))
        except asyncio.CancelledError:
            self._send(wire.Abort(self._next_call(), request.id))
            raise
        finally:
            self._in_flight.discard(request.id)
        if generation is None:
            raise RuntimeError(f"engine {self.id} answered turn {request.id} without a generation")
        return generation

    async def abort(self, request_id: str) -> None:
        """End a turn early; does nothing for a turn that is not in flight."""
        await self._call(wire.Abort(self._next_call(), request_id))

    async def pause(self) -> None:
        """Stop stepping; turns in flight keep their KV."""
        await self._call(wire.Pause(self._next_call()))

    async def resume(self) -> None:
        """Go on after ``pause``."""
        await self._call(wire.Resume(self._next_call()))

    async def update_weights(self, weights: Path, version: int) -> None:
        """Load ``weights``; raises ``InputError`` and changes nothing where they do not fit the model."""
        await self._call(wire.UpdateWeights(self._next_call(), str(weights.absolute()), version))

    async def receive_weights(self, transfer: WeightTransfer, version: int) -> None:
        """Take in weights that a trainer sends; raises ``InputError`` as ``update_weights`` does."""
        await self._call(wire.ReceiveWeights(self._next_call(), transfer, version))

    async def close(self) -> None:
        """Ask the engine to stop, then kill what is left of its process group; safe to call twice."""
        self._end("it has been closed")
        self._writer.close()
        try:
            await self._exited(CLOSE_S if self._info is not None else 0)
        finally:
            self._kill_group()
        await self._process.wait()
        if self._reports is not None:
            await self._reports
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _ready(self, on_phase: OnPhase) -> EngineInfo:
        while (report := await wire.read_report(self._reader)) is not None:
            if isinstance(report, wire.Ready):
                return report.info
            if isinstance(report, wire.Phase):
                on_phase(self.id, report.name)
        raise EngineError(f"engine {self.id} did not start: {await self._cause()}\nits log: {self.log}")

    async def _read_reports(self) -> None:
        while (report := await wire.read_report(self._reader)) is not None:
            if isinstance(report, wire.Stats):
                self._stats = report.stats
            elif isinstance(report, wire.Answer):
                self._answer(report)
        if self._ended is None:
            self._end(f"it has died: {await self._cause()}\nits log: {self.log}")

    def _answer(self, answer: wire.Answer) -> None:
        future = self._answers.pop(answer.call, None)
        if future is None or future.done():
            return
        if answer.error is None:
            future.set_result(answer.generation)
        else:
            future.set_exception((InputError if answer.refused else EngineError)(answer.error))

    async def _call(self, call: wire.Call) -> Generation | None:
        if self._ended is not None:
            raise EngineDead(f"engine {self.id}: {self._ended}")
        future: asyncio.Future[Generation | None] = asyncio.get_running_loop().create_future()
        self._answers[call.call] = future
        self._send(call)
        try:
            return await future
        finally:
            self._answers.pop(call.call, None)

    def _next_call(self) -> int:
        self._last_call += 1
        return self._last_call

    def _send(self, message: wire.Command) -> None:
        if not self._writer.is_closing():
            self._writer.write(wire.frame(message))

    def _end(self, why: str) -> None:
        """The one transition to ended: it fails every call in flight."""
        if self._ended is None:
            self._ended = why
        for future in self._answers.values():
            if not future.done():
                future.set_exception(EngineDead(f"engine {self.id}: {self._ended}"))
        self._answers.clear()

    async def _exited(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._process.wait()
                return True
        return False

    async def _cause(self) -> str:
        """Why the process ended, once it has closed its side of the socket."""
        exited = await self._exited(CLOSE_S)
        self._kill_group()
        status = await self._process.wait()
        if exited and status < 0:
            return f"its process was killed by {signal.Signals(-status).name}"
        return cause_of_end(self.log)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


async def _spawn(engine_id: str, *, environment: dict[str, str], log: Path) -> EngineProcess:
    """The process of one engine: own session, no terminal, its output in ``log``, one socket to us."""
    ours, theirs = socket.socketpair()
    with theirs, log.open("wb") as output:
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            # The last await: cancelled here, asyncio itself ends the process; later, the caller does.
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "headway.engine.host", str(theirs.fileno()), str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                env=environment, pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip
        except BaseException:
            writer.close()
            raise
    return EngineProcess(engine_id, process=process, reader=reader, writer=writer, log=log)
