"""What runs inside vLLM's worker processes beside vLLM's own code: loading new weights into a live model.

Invariant: after ``headway_load_weights`` the worker computes exactly what a fresh load of the same file
computes. Knows nothing of caches or versions: the engine resets the first and counts the second.
"""

from collections.abc import Iterator
from typing import Any

from safetensors import safe_open

from .lifeline import end_with


class WeightLoader:
    """Mixed into vLLM's worker class, which brings ``reload_weights`` and ``get_model``."""

    reload_weights: Any
    get_model: Any

    def headway_end_with(self, pid: int) -> None:
        """End this worker when the process ``pid``, which holds the engine, has ended."""
        end_with(pid, group=False)

    def headway_load_weights(self, file: str) -> None:
        """Load the safetensors ``file``, which holds the whole model under its Hugging Face names."""
        self.reload_weights(weights_iterator=_tensors(file))
        _repack_heads(self.get_model())


def _tensors(file: str) -> Iterator[tuple[str, Any]]:
    with safe_open(file, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118 - the handle itself is not iterable
            yield name, tensors.get_tensor(name)


def _repack_heads(model: Any) -> None:
    """vLLM's CPU build packs a head at load; a head tied to the embedding is not packed again by a reload."""
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
    from vllm.model_executor.layers.vocab_parallel_embedding import (
        ParallelLMHead,
        UnquantizedEmbeddingMethod,
    )
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    for module in model.modules():
        if isinstance(module, ParallelLMHead) and isinstance(module.quant_method, UnquantizedEmbeddingMethod):
            dispatch_cpu_unquantized_gemm(module, remove_weight=False)
