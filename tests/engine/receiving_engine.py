"""A real engine on a CPU that receives weights by vLLM's own transfer, with a backend that reads a file.

Prints as JSON what it answered before and after, and how it took a transfer that does not fit and one that
fails half way.
"""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from safetensors.torch import load_file
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

from headway.engine import EngineConfig
from headway.engine.checks import resolve
from headway.engine.vllm_engine import VllmEngine
from headway.engine.weight_transfer import WeightTransfer
from headway.errors import HeadwayError
from tests.engine.contract import turn

BACKEND = "from_a_file"


@dataclass
class Where(WeightTransferInitInfo):
    file: str


@dataclass
class What(WeightTransferUpdateInfo):
    names: list[str]
    dtype_names: list[str]
    shapes: list[list[int]]


class FromFile(WeightTransferEngine[Where, What]):
    """As vLLM's NCCL transfer, but for where the tensors come from."""

    init_info_cls = Where
    update_info_cls = What

    def init_transfer_engine(self, init_info: Where) -> None:
        self.file = init_info.file

    def start_weight_update(self) -> None:
        initialize_layerwise_reload(self.model)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        self.receive_weights(self.parse_update_info(update_info))  # and no GPU to wait for

    def receive_weights(self, update_info: What) -> None:
        tensors = load_file(self.file)
        self.model.load_weights([(name, tensors[name]) for name in update_info.names])

    def finish_weight_update(self) -> None:
        finalize_layerwise_reload(self.model, self.model_config)

    def shutdown(self) -> None:
        del self.file


async def serve(model: Path, file: Path, update: dict[str, Any]) -> dict[str, Any]:
    config = resolve(EngineConfig(model=str(model), kv_tokens=1024, weight_backend=BACKEND), engines=1)
    engine = await VllmEngine.start(config, engine_id="engine-0", on_stats=lambda stats: None)
    transfer = WeightTransfer(init={"file": str(file)}, update=update)
    seen: dict[str, Any] = {"before": await engine.generate(turn())}
    await engine.receive_weights(transfer, 7)
    seen["after"] = await engine.generate(turn())
    parts = {key: values[1:] for key, values in update.items()}
    seen["refused"] = await fault(engine.receive_weights(WeightTransfer(init={}, update=parts), 8))
    seen["still"] = await engine.generate(turn())
    nowhere = WeightTransfer(init={"file": f"{file}.missing"}, update=update)
    seen["broken"] = await fault(engine.receive_weights(nowhere, 8))
    seen["later"] = await fault(engine.generate(turn()))
    await engine.close()
    return seen


async def fault(call: Any) -> str:
    try:
        await call
    except HeadwayError as error:
        return f"{type(error).__name__}: {error}"
    return "none"


if __name__ == "__main__":
    WeightTransferEngineFactory.register_engine(BACKEND, FromFile)
    model, file, update, out = map(Path, sys.argv[1:])
    result = asyncio.run(serve(model, file, msgspec.json.decode(update.read_bytes())))
    out.write_bytes(msgspec.json.encode(result))
