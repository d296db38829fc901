"""An updated engine computes what a fresh load of its weights computes, and what a trainer computes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headway.engine import Engine, EngineConfig, Fleet, Generation
from tests.engine.contract import start_generating, turn
from tests.engine.tiny_model import build_model, logprobs_of, save_model, save_weights

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

OLD, NEW = 3, 4
Engines = dict[tuple[bool, int], Engine]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engines]:
    """Engines by whether their head is tied and by the seed of the weights that they were loaded with."""
    keys = [(tied, seed) for tied in (True, False) for seed in (OLD, NEW)]
    folder = tmp_path_factory.mktemp("models")
    fleets = []
    for tied, seed in keys:
        model = save_model(folder / f"{tied}-{seed}", build_model(seed=seed, tied=tied))
        fleets.append(Fleet(EngineConfig(model=str(model), kv_tokens=1024, version=seed)))
    await asyncio.gather(*(fleet.start() for fleet in fleets))
    yield {key: fleet.engines[0] for key, fleet in zip(keys, fleets, strict=True)}
    await asyncio.gather(*(fleet.close() for fleet in fleets))


async def answers(engine: Engine) -> list[Generation]:
    """Greedy answers to prompts of several lengths, generated together."""
    turns = [turn(length=length, max_tokens=60, first=length) for length in (5, 33, 64, 150)]
    return list(await asyncio.gather(*(engine.generate(request) for request in turns)))


def largest_difference(left: list[float], right: list[float]) -> float:
    assert len(left) == len(right)
    return max(abs(one - other) for one, other in zip(left, right, strict=True))


@pytest.mark.parametrize("tied", [True, False])
async def test_an_updated_engine_equals_a_fresh_load(engines: Engines, tied: bool, tmp_path: Path) -> None:
    updated, fresh = engines[tied, OLD], engines[tied, NEW]
    old, new = build_model(seed=OLD, tied=tied), build_model(seed=NEW, tied=tied)
    weights = save_weights(tmp_path / "new.safetensors", new)
    before = await answers(updated)
    in_flight = turn(length=50, max_tokens=900)
    task = await start_generating(updated, in_flight)

    await updated.update_weights(weights, NEW)

    crossing = await task
    assert crossing.versions[0] == OLD
    assert crossing.versions[-1] == NEW
    after, expected = await answers(updated), await answers(fresh)
    assert [answer.tokens for answer in after] == [answer.tokens for answer in expected]
    assert [answer.tokens for answer in after] != [answer.tokens for answer in before]
    for answer, same in zip(after, expected, strict=True):
        assert largest_difference(answer.logprobs, same.logprobs) < 1e-5
        assert set(answer.versions) == set(same.versions) == {NEW}

    lengths = (5, 33, 64, 150)
    for model, generations in ((old, before), (new, after)):
        for length, generation in zip(lengths, generations, strict=True):
            recomputed = logprobs_of(model, turn(length=length, first=length).prompt, generation.tokens)
            assert largest_difference(recomputed, generation.logprobs) < 1e-4

    switch = crossing.versions.index(NEW)
    by_old = logprobs_of(old, in_flight.prompt, crossing.tokens)[:switch]
    by_new = logprobs_of(new, in_flight.prompt, crossing.tokens)[switch:]
    assert largest_difference(by_old + by_new, crossing.logprobs) < 1e-4


async def test_updating_back_restores_the_first_weights(engines: Engines, tmp_path: Path) -> None:
    engine = engines[True, NEW]
    first = await answers(engine)
    for seed, version in ((OLD, 5), (NEW, 6)):
        weights = save_weights(tmp_path / f"{seed}.safetensors", build_model(seed=seed))
        await engine.update_weights(weights, version)
    assert [answer.tokens for answer in await answers(engine)] == [answer.tokens for answer in first]
