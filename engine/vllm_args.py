"""Translates an ``EngineConfig`` into vLLM's own options.

Invariants: vLLM gets and returns token ids only (no tokenizer is loaded), ends a turn at the stop tokens of
the request and at no others, and schedules by priority. Knows nothing of running the engine.
"""

from typing import Any

from vllm.config.weight_transfer import WeightTransferConfig
from vllm.engine.arg_utils import AsyncEngineArgs

from .config import EngineConfig

WORKER_EXTENSION = "headway.engine.vllm_worker.WeightLoader"
CPU_KV_GIB = 1.0


def engine_args(config: EngineConfig) -> Any:
    """vLLM's ``AsyncEngineArgs`` for a config whose device and sizes are definite."""
    return AsyncEngineArgs(
        model=config.model,
        skip_tokenizer_init=True,
        generation_config="vllm",
        dtype=config.dtype,
        seed=config.seed,
        max_num_seqs=config.max_num_seqs,
        max_num_batched_tokens=config.max_batched_tokens,
        block_size=config.block_size,
        enable_prefix_caching=True,
        scheduling_policy="priority",
        tensor_parallel_size=config.tensor_parallel_size,
        gpu_memory_utilization=config.gpu_memory_utilization,
        worker_extension_cls=WORKER_EXTENSION,
        logprobs_mode="raw_logprobs",
        disable_log_stats=True,
        enforce_eager=config.enforce_eager or config.device == "cpu",
        weight_transfer_config=_weight_transfer(config),
        **_context(config),
        **_executor(config),
        **_kv_cache(config),
    )


def _weight_transfer(config: EngineConfig) -> WeightTransferConfig | None:
    return None if config.weight_backend is None else WeightTransferConfig(backend=config.weight_backend)


def _context(config: EngineConfig) -> dict[str, Any]:
    return {} if config.max_context is None else {"max_model_len": config.max_context}


def _executor(config: EngineConfig) -> dict[str, Any]:
    return {"distributed_executor_backend": "uni"} if config.tensor_parallel_size == 1 else {}


def _kv_cache(config: EngineConfig) -> dict[str, Any]:
    options: dict[str, Any] = {}
    gib = config.kv_gib or (CPU_KV_GIB if config.device == "cpu" else None)
    if gib is not None:
        options["kv_cache_memory_bytes"] = int(gib * 2**30)
    if config.kv_tokens is not None:
        # One block more than asked for: vLLM keeps one, the null block, for itself.
        options["num_gpu_blocks_override"] = config.kv_tokens // config.block_size + 1
    return options
