"""Sampling with transformers: what any engine does, and what two others compute as well."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch
from safetensors import SafetensorError

from headway.engine import (
    Engine,
    EngineConfig,
    EngineError,
    EngineStats,
    Fleet,
    Generation,
    Request,
    Sampling,
)
from headway.engine.checks import resolve
from headway.engine.transformers_engine import TransformersEngine
from headway.engine.transformers_sampling import sample
from headway.errors import InputError
from tests.engine.contract import TurnContract, start_generating, turn
from tests.engine.tiny_model import build_model, logprobs_of, save_weights

_versions = itertools.count(1)
LENGTHS = (5, 33, 64, 150, 7, 90)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engine(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    config = EngineConfig(model=str(tiny_model), kind="transformers", kv_tokens=1024, max_num_seqs=4)
    async with Fleet(config, log_dir=tmp_path_factory.mktemp("logs")) as fleet:
        yield fleet.engines[0]


@pytest.fixture
def version() -> int:
    return next(_versions)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_weights(tmp_path_factory.mktemp("weights") / "same.safetensors", build_model(seed=0))


async def answers(engine: Engine) -> list[Generation]:
    """Greedy answers to prompts of several lengths, more than run at a time, which end one by one."""
    turns = [turn(length=length, max_tokens=20 + length, first=length) for length in LENGTHS]
    return list(await asyncio.gather(*(engine.generate(request) for request in turns)))


def largest_difference(left: list[float], right: list[float]) -> float:
    return max(abs(one - other) for one, other in zip(left, right, strict=True))


@pytest.mark.asyncio(loop_scope="session")
class TestTransformersEngine(TurnContract):
    async def test_turns_in_one_batch_do_not_see_each_other(self, engine: Engine) -> None:
        model = build_model(seed=0)
        for length, generation in zip(LENGTHS, await answers(engine), strict=True):
            alone = logprobs_of(model, turn(length=length, first=length).prompt, generation.tokens)
            assert largest_difference(alone, generation.logprobs) < 1e-4

    async def test_new_weights_compute_what_the_trainer_computes(
        self, engine: Engine, weights: Path, version: int, tmp_path: Path
    ) -> None:
        old, new = build_model(seed=0), build_model(seed=1)
        in_flight = turn(length=50, max_tokens=400)
        task = await start_generating(engine, in_flight)
        await engine.update_weights(save_weights(tmp_path / "new.safetensors", new), version)
        crossing = await task
        switch = crossing.versions.index(version)
        by_old = logprobs_of(old, in_flight.prompt, crossing.tokens)[:switch]
        by_new = logprobs_of(new, in_flight.prompt, crossing.tokens)[switch:]
        assert switch > 0
        assert largest_difference(by_old + by_new, crossing.logprobs) < 1e-4
        await engine.update_weights(weights, version)

    async def test_a_turn_waits_until_the_cache_can_hold_all_of_it(self, engine: Engine) -> None:
        large = [turn(length=100, max_tokens=500) for _ in range(2)]
        first, second = await asyncio.gather(*(engine.generate(request) for request in large))
        assert second.queue_s > first.first_token_s
        assert len(first.tokens) == len(second.tokens) == 500

    async def test_a_stop_token_ends_the_turn_and_is_part_of_it(self, engine: Engine) -> None:
        free = await engine.generate(turn(max_tokens=16))
        stop = free.tokens[5]
        request = turn(max_tokens=16)
        sampling = Sampling(max_tokens=16, temperature=0.0, stop_token_ids=(stop,))
        stopped = await engine.generate(Request(id=request.id, prompt=request.prompt, sampling=sampling))
        assert stopped.finish_reason == "stop"
        assert stopped.tokens == free.tokens[: free.tokens.index(stop) + 1]

    async def test_a_turn_that_waits_can_be_aborted(self, engine: Engine) -> None:
        await engine.pause()
        request = turn()
        task = asyncio.create_task(engine.generate(request))
        await asyncio.sleep(0)  # the task has sent its request
        await engine.abort(request.id)
        generation = await task
        await engine.resume()
        assert (generation.finish_reason, generation.tokens) == ("abort", [])

    @pytest.mark.parametrize(
        ("token", "sampling", "message"),
        [
            (512, Sampling(max_tokens=4), "has token 512, and the model has tokens 0 to 511"),
            (-1, Sampling(max_tokens=4), "has token -1"),
            (1, Sampling(max_tokens=4, temperature=-1.0), "temperature must be non-negative"),
            (1, Sampling(max_tokens=4, top_p=0.0), "top_p must be above 0"),
        ],
    )
    async def test_what_makes_no_sense_is_refused(
        self, engine: Engine, token: int, sampling: Sampling, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            await engine.generate(Request(id="wrong", prompt=[1, token], sampling=sampling))
        await engine.generate(turn())

    @pytest.mark.vllm
    async def test_its_greedy_answers_are_those_of_vllm(self, engine: Engine, fleet: Fleet) -> None:
        ours, theirs = await asyncio.gather(answers(engine), answers(fleet.engines[0]))
        for one, other in zip(ours, theirs, strict=True):
            assert one.tokens == other.tokens
            assert largest_difference(one.logprobs, other.logprobs) < 1e-4


def local(model: Path, **fields: Any) -> EngineConfig:
    return resolve(EngineConfig(model=str(model), kind="transformers", device="cpu", **fields), engines=1)


async def test_a_closed_engine_fails_its_turns_and_takes_no_more(tiny_model: Path) -> None:
    seen: list[EngineStats] = []
    engine = await TransformersEngine.start(local(tiny_model), engine_id="e", on_stats=seen.append)
    task = await start_generating(engine, turn(max_tokens=900))
    await engine.close()
    await engine.close()
    with pytest.raises(EngineError, match="it has been closed"):
        await task
    with pytest.raises(EngineError, match="it has been closed"):
        await engine.generate(turn())
    assert engine.ended
    assert [stats.steps for stats in seen] == list(range(1, len(seen) + 1))


async def test_an_update_that_fails_half_way_breaks_the_engine(tiny_model: Path, tmp_path: Path) -> None:
    weights = save_weights(tmp_path / "cut.safetensors", build_model(seed=1))
    weights.write_bytes(
        weights.read_bytes()[:-1]
    )  # the header, which is all that is checked before, is whole
    engine = await TransformersEngine.start(local(tiny_model), engine_id="e", on_stats=lambda stats: None)
    with pytest.raises(SafetensorError):
        await engine.update_weights(weights, 1)
    with pytest.raises(EngineError, match="as version 1 failed half way"):
        await engine.generate(turn())
    await engine.close()


async def test_a_cache_that_cannot_hold_one_trajectory_is_refused(tiny_model: Path) -> None:
    config = local(tiny_model, kv_gib=1e-4)
    with pytest.raises(InputError, match="give kv_tokens or kv_gib, or lower max_context"):
        await TransformersEngine.start(config, engine_id="e", on_stats=lambda stats: None)


def test_tokens_are_drawn_as_often_as_their_probabilities_say() -> None:
    logits = torch.tensor([[0.5, 0.25, 0.2, 0.05]]).log()
    rows = 20_000
    samplings = [
        Sampling(max_tokens=1),
        Sampling(max_tokens=1, temperature=0.5),
        Sampling(max_tokens=1, top_p=0.7),
        Sampling(max_tokens=1, temperature=0.0, top_p=0.7),
    ]
    drawn, logprobs = sample(
        logits.expand(rows, -1),
        [samplings[row % len(samplings)] for row in range(rows)],
        torch.Generator().manual_seed(0),
    )
    squares = [value / 0.355 for value in (0.25, 0.0625, 0.04, 0.0025)]
    expected = [[0.5, 0.25, 0.2, 0.05], squares, [2 / 3, 1 / 3, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    for kind, shares in enumerate(expected):
        tokens = drawn[kind :: len(samplings)]
        assert [tokens.count(token) / len(tokens) for token in range(4)] == pytest.approx(shares, abs=0.025)
    raw = logits[0].tolist()
    assert logprobs == pytest.approx([raw[token] for token in drawn], abs=1e-6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EngineConfig(model="m", kind="transformers", tensor_parallel_size=2), "run on one device"),
        (EngineConfig(model="m", kind="transformers", step_record="steps"), "have no step_record"),
        (EngineConfig(model="m", kind="transformers", weight_backend="nccl"), "have no weight_backend"),
    ],
)
def test_what_this_kind_cannot_do_is_refused(config: EngineConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(config, engines=1)
