"""Spreads a network's parameters over ranks (FSDP2), layer by layer, and puts single tensors together again.

Invariant: outside a forward or backward pass a rank holds its share only. Knows nothing of training.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor


def shard(model: Any, device: torch.device, ranks: int) -> None:
    """Leave in a model that all ranks have whole this rank's share, on the device."""
    mesh = init_device_mesh(device.type, (ranks,))
    for layer in layers(model):
        fully_shard(layer, mesh=mesh)
    # By itself the root would keep its parameters whole between a forward pass and the next backward one.
    fully_shard(model, mesh=mesh, reshard_after_forward=True)


def layers(model: Any) -> Iterator[Any]:
    """The layers of a transformers model."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return (module for module in model.modules() if isinstance(module, GradientCheckpointingLayer))


def whole(tensor: Tensor) -> Tensor:
    """Return the whole of a tensor that may be spread; all ranks must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
