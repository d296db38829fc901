"""Weights are handed over while both sides are at it, and a side that is left alone is not waited for."""

import asyncio
import threading

import pytest

from headway.engine import EngineDead, EngineError
from headway.engine.scripted import ScriptedEngine
from headway.engine.weight_transfer import HandOver, WeightTransfer
from headway.errors import InputError
from headway.trainer.direct_weights import DirectWeights
from headway.trainer.trainer_config import TrainerConfig, by_nccl


class Trainer:
    """Sends until the engine is there, for ever if need be."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.offers = 0
        self.met = threading.Event()
        self.sends = asyncio.Event()
        self._fails = fails
        self._loop = asyncio.get_running_loop()

    def offer_weights(self, workers: int) -> WeightTransfer:
        self.offers += 1
        return WeightTransfer(init={"offer": self.offers, "workers": workers}, update={})

    def send_weights(self, transfer: WeightTransfer) -> None:
        if self._fails is not None:
            raise self._fails
        self._loop.call_soon_threadsafe(self.sends.set)
        self.met.wait()


class Receiving(ScriptedEngine):
    """An engine that receives from one trainer."""

    def __init__(self, trainer: Trainer, fails: Exception | None = None) -> None:
        super().__init__(lambda prompt: [0])
        self.received: list[tuple[WeightTransfer, int]] = []
        self._trainer = trainer
        self._fails = fails

    async def receive_weights(self, transfer: WeightTransfer, version: int) -> None:
        if self._fails is not None:
            raise self._fails
        await self._trainer.sends.wait()
        self._trainer.met.set()
        self.received.append((transfer, version))


class Engines:
    """As a scheduler has all its engines updated."""

    def __init__(self, *engines: ScriptedEngine) -> None:
        self._engines = engines

    async def update_weights(self, weights: HandOver, version: int) -> None:
        await asyncio.gather(*(weights(engine, version) for engine in self._engines))


def direct(trainer: Trainer, *engines: ScriptedEngine) -> DirectWeights:
    return DirectWeights(trainer, Engines(*engines), workers=2)


async def test_each_engine_receives_an_offer_of_its_own_while_it_is_sent() -> None:
    trainer = Trainer()
    engines = [Receiving(trainer), Receiving(trainer)]
    await direct(trainer, *engines).push(5)
    told = [WeightTransfer(init={"offer": number, "workers": 2}, update={}) for number in (1, 2)]
    assert [engine.received for engine in engines] == [[(told[0], 5)], [(told[1], 5)]]


@pytest.mark.parametrize("error", [EngineDead("it has died"), EngineError("out of memory")])
async def test_an_engine_that_fails_ends_the_run_though_the_trainer_sends_for_ever(
    error: EngineError,
) -> None:
    trainer = Trainer()
    with pytest.raises(EngineError, match=f"engine-0: .* not handed over: {error}") as raised:
        await direct(trainer, Receiving(trainer, fails=error)).push(5)
    assert type(raised.value) is EngineError  # without a dead engine the scheduler would go on
    assert not trainer.met.is_set()


async def test_a_trainer_that_cannot_send_ends_the_run_though_the_engine_waits_for_ever() -> None:
    trainer = Trainer(fails=RuntimeError("no route"))
    engine = Receiving(trainer)
    with pytest.raises(EngineError, match="not handed over: no route"):
        await direct(trainer, engine).push(5)
    assert engine.received == []


async def test_an_engine_that_takes_files_only_says_so() -> None:
    trainer = Trainer()
    with pytest.raises(InputError, match='from files only; set `weights` of the trainer to "file"'):
        await direct(trainer, ScriptedEngine(lambda prompt: [0])).push(5)
    assert trainer.sends.is_set() is False


@pytest.mark.parametrize(
    ("device", "ranks", "weights", "engine_gpus", "expected"),
    [
        ("cpu", 1, "auto", 0, False),
        ("cpu", 1, "auto", 2, False),
        ("cuda", 1, "auto", 0, False),
        ("cuda", 1, "auto", 2, False),
        ("cuda:1", 1, "auto", 2, False),
        ("cuda:2", 1, "auto", 2, True),
        ("cuda:2", 1, "file", 2, False),
        ("cuda", 4, "auto", 2, True),
    ],
)
def test_weights_go_from_gpu_to_gpu_where_these_are_two(
    device: str, ranks: int, weights: str, engine_gpus: int, expected: bool
) -> None:
    config = TrainerConfig(device=device, ranks=ranks, weights=weights)
    assert by_nccl(config, engine_gpus=engine_gpus) is expected


@pytest.mark.parametrize(
    ("device", "engine_gpus", "why"),
    [("cpu", 2, "on a CPU"), ("cuda:2", 0, "engines are on a CPU"), ("cuda", 2, "give it cuda:2")],
)
def test_a_transfer_that_cannot_be_is_refused(device: str, engine_gpus: int, why: str) -> None:
    with pytest.raises(InputError, match=why):
        by_nccl(TrainerConfig(device=device, weights="nccl"), engine_gpus=engine_gpus)
