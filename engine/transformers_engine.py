"""An engine that samples with transformers, behind the ``Engine`` protocol, in this process.

A reference that shares nothing with vLLM but the protocol: to tell an engine's fault from an algorithm's, and
to run where vLLM cannot. It batches all turns that run, and has neither a prefix cache nor preemption.
Invariants: the model runs in one thread of its own; the core is told nothing while it takes a step; after a
step or an update that failed the engine is broken and every method says so. Knows nothing of fleets.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TypeVar

import torch
import transformers

from headway.errors import InputError

from .config import EngineConfig
from .errors import EngineError
from .protocol import EngineInfo, EngineStats, Generation, Request
from .request_check import check_request
from .transformers_core import Core
from .transformers_network import Network
from .transformers_turn import Turn, check_turn

KV_GIB = 1.0
PREFILL_TOKENS = 8192

_T = TypeVar("_T")


class TransformersEngine:
    """Implements ``Engine``. Built by ``start``, inside the event loop that will use it."""

    def __init__(
        self,
        core: Core,
        *,
        network: Network,
        info: EngineInfo,
        thread: ThreadPoolExecutor,
        on_stats: Callable[[EngineStats], None],
    ) -> None:
        self._core = core
        self._network = network
        self._info = info
        self._thread = thread
        self._on_stats = on_stats
        self._stats = EngineStats()
        self._turns: dict[str, tuple[Turn, asyncio.Future[Generation]]] = {}
        self._arrivals = count()
        self._between_steps = asyncio.Lock()
        self._steps: asyncio.Task[None] | None = None
        self._paused = False
        self._ended: str | None = None

    @classmethod
    async def start(
        cls, config: EngineConfig, *, engine_id: str, on_stats: Callable[[EngineStats], None]
    ) -> "TransformersEngine":
        """Load the model of a resolved ``config`` (see ``checks.resolve``)."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        network = await asyncio.get_running_loop().run_in_executor(thread, Network, config)
        info = _info(config, network, engine_id)
        core = Core(
            network,
            kv_tokens=info.kv_tokens,
            max_num_seqs=config.max_num_seqs,
            prefill_tokens=config.max_batched_tokens or PREFILL_TOKENS,
            seed=config.seed,
            version=config.version,
        )
        return cls(core, network=network, info=info, thread=thread, on_stats=on_stats)

    @property
    def ended(self) -> bool:
        """Whether the engine was closed or is broken."""
        return self._ended is not None

    @property
    def info(self) -> EngineInfo:
        """What is fixed once the engine has started."""
        return self._info

    def stats(self) -> EngineStats:
        """The figures of the latest step."""
        return self._stats

    async def generate(self, request: Request) -> Generation:
        """Generate one turn; cancelling the caller aborts it."""
        self._check_alive()
        check_request(request, self._info, in_flight=self._turns)
        check_turn(request, vocabulary=self._network.vocabulary)
        limit = min(request.sampling.max_tokens, self._info.max_context - len(request.prompt))
        turn = Turn(request=request, arrival=next(self._arrivals), limit=limit)
        future: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        self._turns[request.id] = turn, future
        try:
            async with self._between_steps:
                self._check_alive()
                self._core.submit(turn)
            self._go_on()
            return await future
        except asyncio.CancelledError:
            await self._drop(turn)
            raise
        finally:
            del self._turns[request.id]

    async def abort(self, request_id: str) -> None:
        """End a turn after the step under way; does nothing for a turn that is not in flight."""
        self._check_alive()
        if request_id in self._turns:
            await self._drop(self._turns[request_id][0])

    async def pause(self) -> None:
        """Stop stepping; turns in flight keep their KV."""
        self._check_alive()
        self._paused = True
        async with self._between_steps:
            pass

    async def resume(self) -> None:
        """Go on after ``pause``."""
        self._check_alive()
        self._paused = False
        self._go_on()

    async def update_weights(self, weights: Path, version: int) -> None:
        """Load ``weights``, the whole model in one file; tokens sampled from then on carry ``version``.

        Raises ``InputError`` and changes nothing where the file does not fit the model.
        """
        self._check_alive()
        if version < 0:
            raise InputError(f"weight version {version} is negative; versions count from 0")
        self._network.check(weights)
        async with self._between_steps:
            self._check_alive()
            try:
                await self._in_thread(lambda: self._core.load(weights, version))
            except BaseException as error:
                self._break(f"loading {weights} as version {version} failed half way ({error!r})")
                raise

    async def close(self) -> None:
        """End what is in flight and the thread, after the step under way; safe to call twice."""
        self._break("it has been closed")
        if self._steps is not None:
            await self._steps
        self._thread.shutdown()

    def _go_on(self) -> None:
        if self._steps is None or self._steps.done():
            self._steps = asyncio.create_task(self._take_steps())

    async def _take_steps(self) -> None:
        try:
            while await self._take_step():
                pass
        except Exception as error:
            self._break(f"a step failed ({error!r})")

    async def _take_step(self) -> bool:
        """Take a step, if there is something to step for."""
        async with self._between_steps:
            if self._paused or self._ended is not None or not self._core.busy:
                return False
            self._tell(await self._in_thread(self._core.step))
            return True

    async def _drop(self, turn: Turn) -> None:
        async with self._between_steps:
            self._core.abort(turn)
            self._tell([turn])

    def _tell(self, ended: list[Turn]) -> None:
        for turn in ended:
            known, future = self._turns.get(turn.request.id, (None, None))
            if known is turn and future is not None and not future.done():
                future.set_result(turn.generation())
        stats = self._core.stats()
        if stats != self._stats:
            self._stats = stats
            self._on_stats(stats)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _check_alive(self) -> None:
        if self._ended is not None:
            raise EngineError(f"engine {self._info.id}: {self._ended}")

    def _break(self, why: str) -> None:
        """The one transition to ended: it fails every turn in flight."""
        self._ended = self._ended or why
        for _, future in self._turns.values():
            if not future.done():
                future.set_exception(EngineError(f"engine {self._info.id}: {self._ended}"))


def _info(config: EngineConfig, network: Network, engine_id: str) -> EngineInfo:
    """Raises ``InputError`` for a cache that cannot hold one trajectory."""
    fitting = int((config.kv_gib or KV_GIB) * 2**30) // network.token_bytes
    kv_tokens = (config.kv_tokens or fitting) // config.block_size * config.block_size
    assert config.max_context is not None
    if kv_tokens < config.max_context:
        raise InputError(
            f"{config.kv_gib or KV_GIB:g} GiB of KV cache hold {kv_tokens} tokens, less than max_context "
            f"{config.max_context}; give kv_tokens or kv_gib, or lower max_context"
        )
    return EngineInfo(
        id=engine_id,
        kind="transformers",
        version=transformers.__version__,
        device="cpu" if network.device.type == "cpu" else torch.cuda.get_device_name(),
        kv_tokens=kv_tokens,
        block_size=config.block_size,
        max_context=config.max_context,
    )
