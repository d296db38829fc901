"""Hands the trained weights to the engines through a file, best one in memory.

Invariant: however handing over ends, no file is left. Knows nothing of what is trained.
"""

from pathlib import Path
from typing import Protocol

from headway.scheduler import Scheduler

from .in_thread import in_thread


class _Weights(Protocol):
    def write_weights(self, file: Path) -> None: ...


class FileWeights:
    """Writes into ``folder``; engines and trainer must both see it."""

    def __init__(self, policy: _Weights, scheduler: Scheduler, folder: Path) -> None:
        self._policy = policy
        self._scheduler = scheduler
        self._folder = folder

    async def push(self, version: int) -> None:
        """Bring the weights as they stand into every live engine, as ``version``."""
        file = self._folder / f"weights-{version}.safetensors"
        try:
            await in_thread(lambda: self._policy.write_weights(file))
            await self._scheduler.update_weights(file, version)
        finally:
            file.unlink(missing_ok=True)
