"""The process of one engine: serves the calls of the process that started it, until that one is gone.

Run as ``python -m headway.engine.host SOCKET_FD PARENT_PID``. Invariants: ends, with everything that the
engine started, when the socket closes, the parent ends, the engine dies or a call fails in a way that nobody
foresaw; a terminal's Ctrl-C does not reach it. Its output is the engine's log. Knows nothing of the
other engines.
"""

import asyncio
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from headway.errors import InputError

from . import wire
from .config import EngineConfig
from .errors import EngineError
from .lifeline import end_with
from .protocol import Engine, EngineStats, Generation
from .weight_transfer import receiver


class LocalEngine(Engine, Protocol):
    """An engine in this process."""

    @property
    def ended(self) -> bool:
        """Whether no call can succeed any more."""
        ...


class StartEngine(Protocol):
    """Starts an engine of some kind."""

    async def __call__(
        self, config: EngineConfig, *, engine_id: str, on_stats: Callable[[EngineStats], None]
    ) -> LocalEngine:
        """Return it once it can be called."""
        ...


class Host:
    """Reads calls from one socket and answers each when it is done."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def run(self) -> None:
        """Start the engine that the first message asks for, and serve it to the end of the stream."""
        start = await wire.read_command(self._reader)
        if not isinstance(start, wire.Start):
            return
        engine = await self._start(start)
        self._send(wire.Ready(engine.info))
        async with asyncio.TaskGroup() as calls:
            while (call := await wire.read_command(self._reader)) is not None:
                if isinstance(call, wire.Start):
                    raise RuntimeError("an engine's process was asked to start a second engine")
                calls.create_task(self._serve(engine, call))
            await engine.close()

    async def _start(self, start: wire.Start) -> LocalEngine:
        """Import only the kind that was asked for."""
        start_engine: StartEngine
        if start.config.kind == "vllm":
            self._send(wire.Phase("importing vLLM"))
            from .vllm_engine import VllmEngine

            start_engine = VllmEngine.start
        else:
            self._send(wire.Phase("importing transformers"))
            from .transformers_engine import TransformersEngine

            start_engine = TransformersEngine.start
        self._send(wire.Phase("loading the model"))
        return await start_engine(start.config, engine_id=start.engine_id, on_stats=self._send_stats)

    async def _serve(self, engine: LocalEngine, call: wire.Call) -> None:
        try:
            generation = await _perform(engine, call)
        except InputError as error:
            self._send(wire.Answer(call.call, error=str(error), refused=True))
        except EngineError as error:
            if engine.ended:
                # The end of this process tells the other side, for all calls at once.
                raise
            self._send(wire.Answer(call.call, error=str(error)))
        else:
            self._send(wire.Answer(call.call, generation=generation))

    def _send_stats(self, stats: EngineStats) -> None:
        self._send(wire.Stats(stats))

    def _send(self, message: wire.Report) -> None:
        if not self._writer.is_closing():
            self._writer.write(wire.frame(message))


async def _perform(engine: LocalEngine, call: wire.Call) -> Generation | None:
    match call:
        case wire.Generate(request=request):
            return await engine.generate(request)
        case wire.Abort(request_id=request_id):
            await engine.abort(request_id)
        case wire.Pause():
            await engine.pause()
        case wire.Resume():
            await engine.resume()
        case wire.UpdateWeights(weights=weights, version=version):
            await engine.update_weights(Path(weights), version)
        case wire.ReceiveWeights(transfer=transfer, version=version):
            await receiver(engine).receive_weights(transfer, version)
    return None


async def _serve_socket(descriptor: int) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    await Host(reader, writer).run()


def main() -> None:
    """Serve the socket that was inherited. ``os._exit``: vLLM's exit handlers may wait for each other."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent, group=True)
    status = 0
    try:
        asyncio.run(_serve_socket(descriptor))
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
