"""What is said to vLLM's weight transfers is what they understand, and an engine that receives is updated."""

import asyncio
import dataclasses
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch
from vllm.distributed.weight_transfer.base import VLLMWeightSyncClient
from vllm.distributed.weight_transfer.nccl_common import NCCLWeightTransferInitInfo, worker_init_payload
from vllm.distributed.weight_transfer.nccl_engine import (
    NCCLTrainerInitInfo,
    NCCLTrainerWeightTransferEngine,
    NCCLWeightTransferUpdateInfo,
)

from headway.engine import EngineConfig, Generation, wire
from headway.engine.checks import resolve
from headway.engine.devices import Placement
from headway.engine.environment import engine_environment
from headway.engine.model_folder import ModelFolder
from headway.engine.vllm_args import engine_args
from headway.errors import InputError
from headway.trainer.nccl import Source, Told, trainer_info
from headway.trainer.optimizer_config import OptimizerConfig
from headway.trainer.policy_model import PolicyModel
from tests.engine.contract import turn
from tests.engine.tiny_model import build_model, logprobs_of, save_model, save_weights

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
LIMIT = 300  # seconds; a tenth of it is needed


def test_an_offer_is_what_vllm_understands_and_the_model_is_made_of(tiny_model: Path) -> None:
    transfer = PolicyModel(tiny_model, OptimizerConfig()).offer_weights(2)
    told = NCCLWeightTransferInitInfo(**transfer.init)
    assert worker_init_payload(told).items() >= transfer.init.items()
    assert (told.world_size, told.rank_offset) == (3, 1)
    coming = NCCLWeightTransferUpdateInfo(**transfer.update)
    assert set(coming.dtype_names) == {"float32"}
    ModelFolder.open(tiny_model).check_shapes(transfer.shapes, "the offer")
    with pytest.raises(InputError, match=r"the offer: does not fit the model .* is missing"):
        ModelFolder.open(tiny_model).check_shapes({}, "the offer")


def test_both_sides_of_a_transfer_agree_on_how_it_travels(tiny_model: Path) -> None:
    transfer = PolicyModel(tiny_model, OptimizerConfig()).offer_weights(1)
    engine, trainer = NCCLWeightTransferInitInfo(**transfer.init), trainer_info(transfer, rank=0)
    assert isinstance(trainer, NCCLTrainerInitInfo)
    for name in {field.name for field in dataclasses.fields(trainer)} - {"rank"}:
        assert getattr(trainer, name) == getattr(engine, name), name


def test_what_is_sent_is_what_was_offered() -> None:
    model = build_model(seed=0)
    named = dict(model.named_parameters())
    source = Source(named)
    sent = dict(NCCLTrainerWeightTransferEngine._checked_iter(source, source.metadata()))
    assert sent.keys() == named.keys()
    assert all(torch.equal(sent[name], named[name]) for name in named)
    assert not any(tensor.requires_grad for tensor in sent.values())
    assert isinstance(Told(), VLLMWeightSyncClient)


def test_an_offer_reaches_the_process_of_an_engine_as_it_is(tiny_model: Path) -> None:
    transfer = PolicyModel(tiny_model, OptimizerConfig()).offer_weights(1)

    async def pass_on() -> wire.Command | None:
        reader = asyncio.StreamReader()
        reader.feed_data(wire.frame(wire.ReceiveWeights(1, transfer, 4)))
        return await wire.read_command(reader)

    assert asyncio.run(pass_on()) == wire.ReceiveWeights(1, transfer, 4)


def test_vllm_is_asked_for_a_transfer_only_where_one_is_wanted(tiny_model: Path) -> None:
    config = resolve(EngineConfig(model=str(tiny_model)), engines=1)
    assert engine_args(config).weight_transfer_config is None
    direct = engine_args(msgspec.structs.replace(config, weight_backend="nccl"))
    assert direct.weight_transfer_config.backend == "nccl"


def test_an_engine_that_receives_weights_computes_by_them(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", build_model(seed=3, tied=False))
    new = build_model(seed=4, tied=False)
    file = save_weights(tmp_path / "new.safetensors", new)
    transfer = PolicyModel(folder, OptimizerConfig()).offer_weights(1)
    (tmp_path / "update.json").write_bytes(msgspec.json.encode(transfer.update))
    config = resolve(EngineConfig(model=str(folder)), engines=1)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "tests.engine.receiving_engine"),
            *(str(folder), str(file), str(tmp_path / "update.json"), str(tmp_path / "seen.json")),
        ],
        timeout=LIMIT,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=engine_environment(config, Placement()),
    )
    assert run.returncode == 0, run.stderr
    seen = msgspec.json.decode((tmp_path / "seen.json").read_bytes())
    before, after, still = (msgspec.convert(seen[key], Generation) for key in ("before", "after", "still"))
    assert before.tokens != after.tokens == still.tokens
    assert (set(before.versions), set(after.versions), set(still.versions)) == ({0}, {7}, {7})
    recomputed = logprobs_of(new, turn().prompt, after.tokens)
    assert max(abs(a - b) for a, b in zip(recomputed, after.logprobs, strict=True)) < 1e-4
    assert seen["refused"].startswith("InputError: the trainer's weights: does not fit the model")
    assert seen["broken"].startswith(
        "EngineError: engine engine-0: loading the trainer's weights as version 8"
    )
    assert "failed half way" in seen["later"]
