"""What one engine is asked to be: a model, how much KV cache, on which kind of device.

Invariant: every field has a meaning for every kind of engine and device, or says for which it is ignored.
Knows nothing of vLLM's own option names, nor of how many engines there are.
"""

from typing import Literal

import msgspec

Kind = Literal["vllm", "transformers"]
Device = Literal["auto", "cpu", "gpu"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class EngineConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One engine; a fleet starts several from the same struct, with ``seed`` counted up from the first.

    ``model`` is a folder in the Hugging Face layout, with safetensors weights. ``max_context`` is the longest
    prompt plus answer in tokens (None: what the model supports). ``kv_tokens`` caps the KV cache, rounded
    down to whole blocks; None leaves it to ``kv_gib``, and None there to ``gpu_memory_utilization`` on a GPU
    and to 1 GiB on a CPU. ``dtype`` "auto" is float32 on a CPU and the checkpoint's own on a GPU.
    ``threads`` is for the CPU's arithmetic. ``version`` is the version of the weights in ``model``.
    ``step_record`` is a folder in which each engine appends what every step did and how long it took.
    ``weight_backend`` is that of vLLM's weight transfers by which a trainer sends weights (None: files only).

    ``kind`` "transformers" samples with the trainer's own library: a reference, slower and without a prefix
    cache. It runs on one device, has neither ``step_record`` nor ``weight_backend``, takes 1 GiB of KV cache
    where ``kv_tokens`` and ``kv_gib`` are None, and ignores ``gpu_memory_utilization`` and ``enforce_eager``.
    """

    model: str
    kind: Kind = "vllm"
    device: Device = "auto"
    dtype: Dtype = "auto"
    max_context: int | None = None
    max_num_seqs: int = 256
    max_batched_tokens: int | None = None
    kv_tokens: int | None = None
    kv_gib: float | None = None
    block_size: int = 32
    gpu_memory_utilization: float = 0.9
    tensor_parallel_size: int = 1
    enforce_eager: bool = False
    threads: int = 1
    seed: int = 0
    version: int = 0
    step_record: str | None = None
    weight_backend: str | None = None
