"""Starts several engines side by side and stops them.

Invariants: either all engines start or none is left running; after ``close``, however the body of the
``async with`` ended, no process of theirs is left. Knows nothing of what the engines are used for.
"""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from headway.errors import InputError

from .checks import resolve
from .config import EngineConfig
from .devices import Placement, place, visible_devices
from .environment import engine_environment
from .errors import EngineError
from .process import EngineProcess, OnPhase


class Fleet:
    """``engines`` engines of one ``config``, running between the two ends of an ``async with``.

    ``log_dir`` receives one log file an engine; without it they go to a temporary folder, which stays only
    after an ``EngineError``. ``on_phase(engine_id, phase)`` is told how the start goes. The arguments are
    checked at once: ``InputError`` comes from the constructor, ``EngineError`` from the start.
    """

    def __init__(
        self,
        config: EngineConfig,
        *,
        engines: int = 1,
        log_dir: Path | None = None,
        start_timeout_s: float = 600.0,
        on_phase: OnPhase = lambda engine_id, phase: None,
    ) -> None:
        self.config = resolve(config, engines=engines)
        self.engines: list[EngineProcess] = []
        self._placements = _placements(self.config, engines)
        self._locks = {placement.devices: asyncio.Lock() for placement in self._placements}
        self._start_timeout_s = start_timeout_s
        self._on_phase = on_phase
        self._log_dir = log_dir
        self._temporary_logs: Path | None = None

    @property
    def devices(self) -> dict[str, tuple[str, ...]]:
        """The GPUs of each engine, as the environment names them."""
        return {f"engine-{index}": placement.devices for index, placement in enumerate(self._placements)}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(keep_logs=isinstance(error, EngineError))

    async def start(self) -> None:
        """Start all engines; raises ``EngineError`` and leaves none where one does not start in time."""
        logs = self._make_log_dir()
        starts = [
            asyncio.create_task(self._start_one(index, placement, logs))
            for index, placement in enumerate(self._placements)
        ]
        try:
            async with asyncio.timeout(self._start_timeout_s):
                self.engines = await asyncio.gather(*starts)
        except TimeoutError:
            late = [f"engine-{index}" for index, task in enumerate(starts) if _unfinished(task)]
            await _undo(starts)
            raise EngineError(
                f"{', '.join(late)} did not start within {self._start_timeout_s:g} s; allow more time or "
                f"look into the logs in {logs}"
            ) from None
        except BaseException:
            await _undo(starts)
            raise

    async def close(self, *, keep_logs: bool = False) -> None:
        """Stop all engines; safe to call twice."""
        await asyncio.gather(*(engine.close() for engine in self.engines))
        if self._temporary_logs is not None and not keep_logs:
            shutil.rmtree(self._temporary_logs, ignore_errors=True)

    async def _start_one(self, index: int, placement: Placement, logs: Path) -> EngineProcess:
        engine_id = f"engine-{index}"
        config = msgspec.structs.replace(
            self.config,
            seed=self.config.seed + index,
            gpu_memory_utilization=self.config.gpu_memory_utilization / placement.sharers,
        )
        # vLLM measures free memory as it starts, which another engine on the same GPU would disturb.
        turn = self._locks[placement.devices] if placement.sharers > 1 else contextlib.nullcontext()
        async with turn:
            return await EngineProcess.start(
                config,
                engine_id=engine_id,
                environment=engine_environment(config, placement),
                log=logs / f"{engine_id}.log",
                on_phase=self._on_phase,
            )

    def _make_log_dir(self) -> Path:
        if self._log_dir is None:
            self._temporary_logs = Path(tempfile.mkdtemp(prefix="headway-engines-"))
            return self._temporary_logs
        try:
            self._log_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"log_dir {self._log_dir} cannot be made ({error}); give another folder"
            ) from error
        return self._log_dir


def _placements(config: EngineConfig, engines: int) -> list[Placement]:
    if config.device == "cpu":
        return [Placement()] * engines
    return place(engines=engines, per_engine=config.tensor_parallel_size, devices=visible_devices())


def _unfinished(task: asyncio.Task[EngineProcess]) -> bool:
    return task.cancelled() or not task.done()


async def _undo(starts: list[asyncio.Task[EngineProcess]]) -> None:
    """Stop every engine of ``starts``, in whatever state it is."""
    for task in starts:
        if not task.cancelling():
            # Cancelled a second time, it would not wait for its process to end.
            task.cancel()
    for result in await asyncio.gather(*starts, return_exceptions=True):
        if isinstance(result, EngineProcess):
            await result.close()
