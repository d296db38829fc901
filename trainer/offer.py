"""Says to an engine where it meets the trainer by NCCL, and which tensors will come in which order.

Knows nothing of vLLM but the names of what its ``nccl`` transfer is told.
"""

from collections.abc import Mapping

from torch import Tensor

from headway.engine.weight_transfer import WeightTransfer

from .address import free_port


def offer(named: Mapping[str, Tensor], workers: int, *, address: str) -> WeightTransfer:
    """The tensors, for an engine of so many GPUs, at a port of ``address`` that is free."""
    return WeightTransfer(
        init={
            "master_address": address,
            "master_port": free_port(),
            "rank_offset": 1,
            "world_size": 1 + workers,
            "packed": True,
        },
        update={
            "names": list(named),
            "dtype_names": [str(tensor.dtype).removeprefix("torch.") for tensor in named.values()],
            "shapes": [list(tensor.shape) for tensor in named.values()],
        },
    )
