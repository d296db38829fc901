"""An engine that writes what a script says: for trying agents, and for tests of what stands above engines.

Passes for a real engine under the ``Engine`` protocol: versions, abort, pause and statistics behave alike;
time is the event loop's, so it runs on a virtual clock. Knows no model: logprobs are all zero, and a turn
takes ``seconds_per_token`` for each of its tokens, however many run.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from .protocol import EngineInfo, EngineStats, FinishReason, Generation, Request

Script = Callable[[Sequence[int]], Sequence[int]]


class ScriptedEngine:
    """``script`` maps a prompt's token ids to the ids of the turn that follows, its stop token included."""

    def __init__(
        self,
        script: Script,
        *,
        id: str = "engine-0",
        kv_tokens: int = 1 << 20,
        block_size: int = 32,
        max_context: int = 1 << 16,
        seconds_per_token: float = 0.0,
    ) -> None:
        self.info = EngineInfo(
            id=id,
            kind="scripted",
            version="1",
            device="none",
            kv_tokens=kv_tokens,
            block_size=block_size,
            max_context=max_context,
        )
        self.requests: list[Request] = []
        self._script = script
        self._seconds_per_token = seconds_per_token
        self._version = 0
        self._aborted: dict[str, asyncio.Event] = {}
        self._may_step = asyncio.Event()
        self._may_step.set()
        self._steps = self._generated = 0

    def stats(self) -> EngineStats:
        """Figures of the moment; nothing ever waits inside."""
        return EngineStats(steps=self._steps, running=len(self._aborted), generated_tokens=self._generated)

    async def generate(self, request: Request) -> Generation:
        """Write the scripted turn, as far as ``max_tokens`` allows."""
        self.requests.append(request)
        limit = request.sampling.max_tokens
        wanted = list(self._script(request.prompt))
        tokens: list[int] = []
        versions: list[int] = []
        finish: FinishReason = "stop" if len(wanted) <= limit else "length"
        aborted = self._aborted[request.id] = asyncio.Event()
        try:
            for token in wanted[:limit]:
                await self._may_step.wait()
                await asyncio.sleep(self._seconds_per_token)
                if aborted.is_set():
                    finish = "abort"
                    break
                tokens.append(token)
                versions.append(self._version)
        finally:
            del self._aborted[request.id]
        self._steps += len(tokens)
        self._generated += len(tokens)
        return Generation(
            tokens=tokens, logprobs=[0.0] * len(tokens), versions=versions, finish_reason=finish
        )

    async def abort(self, request_id: str) -> None:
        """End a turn early; one that is not running is ignored."""
        if request_id in self._aborted:
            self._aborted[request_id].set()

    async def pause(self) -> None:
        """Write no more until ``resume``."""
        self._may_step.clear()

    async def resume(self) -> None:
        """Go on after ``pause``."""
        self._may_step.set()

    async def update_weights(self, weights: Path, version: int) -> None:
        """Take on a version; the file is not read."""
        self._version = version

    async def close(self) -> None:
        """Nothing is held."""
