"""vLLM's asynchronous engine behind the ``Engine`` protocol, in this process.

Invariants: a weight update drops all cached KV, recomputes the turns in flight and ends none of them;
after an update that failed half way the engine is broken and every method says so. Knows nothing of
fleets, log files or the scheduler.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import vllm
from vllm.distributed.weight_transfer.base import WeightTransferInitRequest, WeightTransferUpdateRequest
from vllm.exceptions import VLLMValidationError
from vllm.inputs import tokens_input
from vllm.platforms import current_platform
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from headway.errors import InputError

from .config import EngineConfig
from .errors import EngineError
from .model_folder import ModelFolder
from .protocol import EngineInfo, EngineStats, Generation, Request
from .request_check import check_request
from .vllm_args import engine_args
from .vllm_stats import OnStats, StepLogger
from .vllm_turn import generation, sampling_params
from .weight_transfer import WeightTransfer

SHUTDOWN_S = 3.0


class VllmEngine:
    """Implements ``Engine``. Built by ``start``, inside the event loop that will use it."""

    def __init__(self, llm: Any, *, info: EngineInfo, model: ModelFolder, steps: StepLogger) -> None:
        self._llm = llm
        self._info = info
        self._model = model
        self._steps = steps
        self._in_flight: set[str] = set()
        self._stepping = asyncio.Lock()
        self._paused = False
        self._closed = False
        self._ended: str | None = None

    @classmethod
    async def start(cls, config: EngineConfig, *, engine_id: str, on_stats: OnStats) -> "VllmEngine":
        """Load the model and start vLLM; blocks the event loop until the engine core has come up.

        ``config`` is a resolved one (see ``checks.resolve``), and the environment is already the engine's.
        """
        steps = StepLogger(on_stats)
        model = ModelFolder.open(Path(config.model))
        vllm_config = engine_args(config).create_engine_config()
        if config.step_record is not None:
            from .vllm_steps import record_steps

            record_steps(vllm_config, folder=Path(config.step_record), engine_id=engine_id)
        if config.device == "cpu":
            # vLLM asks for spawn on a CPU, which imports everything once more.
            os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
        llm = AsyncLLM.from_vllm_config(
            vllm_config, stat_loggers=[lambda config, index: steps], disable_log_stats=True
        )
        await llm.collective_rpc("headway_end_with", args=(os.getpid(),))
        # Cached from here on: until the first answer, a turn could be aborted before vLLM knows it.
        await llm.get_supported_tasks()
        await llm.update_weight_version(str(config.version))
        return cls(llm, info=_info(llm, engine_id, config), model=model, steps=steps)

    @property
    def ended(self) -> bool:
        """Whether the engine was closed, has died or was broken by a failed update."""
        return self._ended is not None

    @property
    def info(self) -> EngineInfo:
        """What is fixed once the engine has started."""
        return self._info

    def stats(self) -> EngineStats:
        """The figures of the latest step."""
        return self._steps.stats

    async def generate(self, request: Request) -> Generation:
        """Generate one turn; cancelling the caller aborts it on the engine."""
        check_request(request, self._info, in_flight=self._in_flight)
        self._check_vocabulary(request)
        submitted = time.monotonic()
        self._in_flight.add(request.id)
        try:
            with self._errors():
                return generation(await self._last_output(request), submitted=submitted)
        finally:
            self._in_flight.discard(request.id)
            if not self._in_flight:
                self._steps.idle()

    async def abort(self, request_id: str) -> None:
        """End a turn early; does nothing for a turn that is not in flight."""
        with self._errors():
            if request_id in self._in_flight:
                await self._llm.abort(request_id)

    async def pause(self) -> None:
        """Stop stepping; turns in flight keep their KV."""
        async with self._stepping:
            with self._errors():
                await self._llm.pause_generation(mode="keep", clear_cache=False)
            self._paused = True

    async def resume(self) -> None:
        """Go on after ``pause``."""
        async with self._stepping:
            with self._errors():
                await self._llm.resume_generation()
            self._paused = False

    async def update_weights(self, weights: Path, version: int) -> None:
        """Load ``weights``, the whole model in one file; tokens sampled from then on carry ``version``.

        Raises ``InputError`` and changes nothing where the file does not fit the model.
        """
        self._model.check_weights(weights)
        file = str(weights.resolve())
        load = partial(self._llm.collective_rpc, "headway_load_weights", args=(file,))
        await self._swap(load, f"{weights}", version)

    async def receive_weights(self, transfer: WeightTransfer, version: int) -> None:
        """Take in weights that a trainer sends; otherwise as ``update_weights``."""
        self._model.check_shapes(transfer.shapes, "the trainer's weights")
        await self._swap(partial(self._receive, transfer), "the trainer's weights", version)

    async def close(self) -> None:
        """Stop vLLM's processes; safe to call twice."""
        if not self._closed:
            self._closed = True
            self._ended = "it has been closed"
            await asyncio.to_thread(self._llm.shutdown, timeout=SHUTDOWN_S)

    async def _receive(self, transfer: WeightTransfer) -> None:
        llm = self._llm
        await llm.init_weight_transfer_engine(WeightTransferInitRequest(transfer.init))
        await llm.start_weight_update()
        await llm.update_weights(WeightTransferUpdateRequest(transfer.update))
        await llm.finish_weight_update()
        await llm.shutdown_weight_transfer_engine()

    async def _swap(self, load: Callable[[], Awaitable[Any]], what: str, version: int) -> None:
        if version < 0:
            raise InputError(f"weight version {version} is negative; versions count from 0")
        async with self._stepping:
            with self._errors():
                await self._load(load, what, version)

    async def _load(self, load: Callable[[], Awaitable[Any]], what: str, version: int) -> None:
        llm = self._llm
        try:
            await llm.pause_generation(mode="keep", clear_cache=False)
            await load()
            await llm.reset_prefix_cache(reset_running_requests=True)
            await llm.update_weight_version(str(version))
            if not self._paused:
                await llm.resume_generation()
        except BaseException as error:
            self._ended = f"loading {what} as version {version} failed half way ({error!r})"
            raise

    def _check_vocabulary(self, request: Request) -> None:
        """A token that the model does not have would kill the engine core."""
        size = self._llm.vllm_config.model_config.get_vocab_size()
        if min(request.prompt) < 0 or max(request.prompt) >= size:
            wrong = next(token for token in request.prompt if not 0 <= token < size)
            raise InputError(
                f"turn {request.id}: its prompt has token {wrong}, and the model has tokens 0 to {size - 1}; "
                "use the tokenizer that was saved with the model"
            )

    async def _last_output(self, request: Request) -> Any:
        outputs = [
            output
            async for output in self._llm.generate(
                tokens_input(request.prompt),
                sampling_params(request.sampling),
                request.id,
                priority=request.priority,
            )
        ]
        return outputs[-1]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Let nothing but ``EngineError`` out, and nothing in once the engine has ended."""
        if self._ended is not None:
            raise EngineError(f"engine {self._info.id}: {self._ended}")
        try:
            yield
        except EngineError:
            raise
        except VLLMValidationError as error:
            raise InputError(f"engine {self._info.id}: {error}") from error
        except EngineDeadError as error:
            self._ended = self._ended or "its vLLM engine core has died"
            raise EngineError(f"engine {self._info.id}: {self._ended}") from error
        except Exception as error:
            cause = error.__cause__ if isinstance(error, EngineGenerateError) else error
            raise EngineError(f"engine {self._info.id}: {self._ended or repr(cause)}") from error


def _info(llm: Any, engine_id: str, config: EngineConfig) -> EngineInfo:
    cache = llm.vllm_config.cache_config
    return EngineInfo(
        id=engine_id,
        kind="vllm",
        version=vllm.__version__,
        device="cpu" if config.device == "cpu" else current_platform.get_device_name(),
        # One block, the null block, never holds tokens.
        kv_tokens=(cache.num_gpu_blocks - 1) * cache.block_size,
        block_size=cache.block_size,
        max_context=llm.vllm_config.model_config.max_model_len,
    )
