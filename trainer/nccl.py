"""Sends weights to one engine by vLLM's own NCCL transfer. It has not run on a GPU yet.

Invariant: of spread tensors one at a time is whole on the GPU; all ranks gather, rank 0 sends. Knows nothing
of models, nor of how the engine was told.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from vllm.distributed.weight_transfer.base import ParamMeta
from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory
from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

from headway.engine.weight_transfer import WeightTransfer

from .sharding import whole


def send(transfer: WeightTransfer, named: Mapping[str, Tensor], *, rank: int) -> None:
    """Meet the engine where the transfer says, send the tensors in their order, and part."""
    client: Any = Told()  # vLLM's own types are known to one type checker and not to the other
    source: Any = Source(named)
    info = trainer_info(transfer, rank=rank)
    sender: Any = WeightTransferTrainerFactory.trainer_init(info, client=client, source=source)
    try:
        sender.send_weights()
    finally:
        sender.shutdown()


def trainer_info(transfer: WeightTransfer, *, rank: int) -> Any:
    """What vLLM is told on the trainer's side, which is to be what the engine is told."""
    told = transfer.init
    return NCCLTrainerInitInfo(
        rank=rank,
        master_address=told["master_address"],
        master_port=told["master_port"],
        world_size=told["world_size"],
        packed=told["packed"],
    )


class Source:
    """vLLM's ``WeightSource``: tensors by name, each put together only as it is sent."""

    def __init__(self, named: Mapping[str, Tensor]) -> None:
        self._named = named

    def metadata(self) -> list[Any]:
        """What iteration yields, without doing it."""
        return [ParamMeta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self._named.items()]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for name, tensor in self._named.items():
            yield name, whole(tensor.detach())


class Told:
    """vLLM's ``VLLMWeightSyncClient`` for an engine that was told all at once, by ``WeightTransfer``."""

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """It meets the trainer by itself."""

    def start_weight_update(self) -> None:
        """It has started."""

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """It is receiving."""

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """It finishes by itself."""
