import asyncio
import functools
import itertools
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from headway.engine import Engine, EngineDead, EngineError, Generation, Request, Sampling
from headway.engine.simulated import Hardware, SimulatedEngine, StepTime
from headway.errors import InputError
from headway.profiles.virtual_time import VirtualLoop, run_virtual
from tests.engine.contract import EngineContract, turn

_versions = itertools.count(1)

SMALL = Hardware(
    name="small",
    source="made up for tests",
    measured=False,
    step=StepTime(fixed=0.002, prefill=0.0001, decode=0.0001, kv_read=1e-7, attention=1e-9),
    kv_tokens=1024,
    block_size=32,
    max_num_seqs=4,
    max_batched_tokens=512,
    weight_update_s=0.05,
)


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test on a virtual loop, in which a pass takes a moment: the contract waits busily once."""

    @functools.wraps(test)
    def run(*args: Any, **fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(pass_s=1e-5)) as runner:
            runner.run(test(*args, **fixtures))

    return run


@pytest.fixture
def engine() -> Engine:
    return SimulatedEngine(SMALL)


@pytest.fixture
def version() -> int:
    return next(_versions)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights.safetensors"
    file.touch()
    return file


class TestSimulatedEngine:
    """Every test of the contract, in virtual time."""


for _name, _test in vars(EngineContract).items():
    if _name.startswith("test_"):
        setattr(TestSimulatedEngine, _name, in_virtual_time(_test))


async def clock() -> float:
    return asyncio.get_running_loop().time()


def test_it_is_an_engine() -> None:
    engine: Engine = SimulatedEngine(SMALL, id="third", kv_tokens=1000)
    assert (engine.info.id, engine.info.kv_tokens, engine.info.max_context) == ("third", 992, 992)
    assert engine.stats().steps == 0


def test_a_turn_alone_takes_the_time_that_the_formula_gives() -> None:
    async def main() -> tuple[Generation, float]:
        generation = await SimulatedEngine(SMALL).generate(turn(length=100, max_tokens=3))
        return generation, await clock()

    generation, seconds = run_virtual(main())
    first = SMALL.step.seconds(prefill=100, attention=100 * 50)
    second, third = (SMALL.step.seconds(decode=1, kv_read=context) for context in (101, 102))
    assert generation.first_token_s == pytest.approx(first)
    assert seconds == pytest.approx(first + second + third)


def test_the_same_turns_have_the_same_outcome() -> None:
    async def one(engine: Engine, number: int) -> Generation:
        await asyncio.sleep(number * 0.013)
        prompt = [number % 3] * (20 + number)
        request = Request(id=f"turn {number}", prompt=prompt, sampling=Sampling(max_tokens=100))
        return await engine.generate(request)

    async def main() -> tuple[list[Generation], float]:
        engine = SimulatedEngine(SMALL)
        return await asyncio.gather(*(one(engine, number) for number in range(20))), await clock()

    assert run_virtual(main()) == run_virtual(main())


def test_answers_tell_turns_apart_from_their_first_block_on() -> None:
    async def main() -> list[list[int]]:
        engine = SimulatedEngine(SMALL)
        return [(await engine.generate(turn(max_tokens=8))).tokens for _ in range(50)]

    answers = run_virtual(main())
    assert len({tuple(answer) for answer in answers}) == 50
    assert all(1 <= token < 500 for answer in answers for token in answer)


def test_a_turn_shorter_than_its_limit_ends_with_a_stop_token() -> None:
    async def main() -> list[Generation]:
        engine = SimulatedEngine(SMALL, turn_length=lambda request: 10)
        generations = []
        for limit in (9, 10, 11):
            sampling = Sampling(max_tokens=limit, stop_token_ids=(777, *range(1, 400)))
            generations.append(
                await engine.generate(Request(id=str(limit), prompt=[1, 2, 3], sampling=sampling))
            )
        return generations

    cut, exact, free = run_virtual(main())
    assert (len(cut.tokens), cut.finish_reason) == (9, "length")
    assert not set(cut.tokens) & set(range(1, 400))
    assert (len(exact.tokens), exact.finish_reason) == (10, "stop")
    assert (len(free.tokens), free.finish_reason, free.tokens[-1]) == (10, "stop", 777)


@pytest.mark.parametrize("ending", ["close", "die"])
def test_an_engine_that_ends_fails_its_turns_and_every_call(ending: str, weights: Path) -> None:
    async def main() -> None:
        engine = SimulatedEngine(SMALL)
        task = asyncio.create_task(engine.generate(turn(max_tokens=900)))
        await asyncio.sleep(0.1)
        await engine.close() if ending == "close" else engine.die()
        kind = EngineError if ending == "close" else EngineDead
        with pytest.raises(kind, match="engine-0: it"):
            await task
        for call in (engine.generate(turn()), engine.abort("x"), engine.pause(), engine.resume()):
            with pytest.raises(kind):
                await call
        with pytest.raises(kind):
            await engine.update_weights(weights, 1)
        await engine.close()

    run_virtual(main())


def test_a_cancelled_weight_update_leaves_the_engine_stepping_with_its_weights(weights: Path) -> None:
    async def main() -> Generation:
        engine = SimulatedEngine(SMALL)
        task = asyncio.create_task(engine.generate(turn(max_tokens=100)))
        await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await engine.update_weights(weights, 1)
        return await task

    generation = run_virtual(main())
    assert generation.versions == [0] * 100
    assert generation.preemptions == 0


def test_a_weight_update_takes_its_time_and_counts_as_a_preemption(weights: Path) -> None:
    async def main() -> tuple[Generation, float]:
        engine = SimulatedEngine(SMALL)
        task = asyncio.create_task(engine.generate(turn(max_tokens=100)))
        await asyncio.sleep(0.1)
        before = await clock()
        await engine.update_weights(weights, 3)
        return await task, await clock() - before

    generation, seconds = run_virtual(main())
    assert generation.preemptions == 1
    assert seconds > SMALL.weight_update_s
    assert set(generation.versions) == {0, 3}


def test_resuming_before_the_step_under_way_is_over_lets_a_pause_return() -> None:
    async def main() -> Generation:
        engine = SimulatedEngine(SMALL)
        task = asyncio.create_task(engine.generate(turn(max_tokens=500)))
        await asyncio.sleep(0.1)
        pausing = asyncio.create_task(engine.pause())
        await asyncio.sleep(0)
        await engine.resume()
        async with asyncio.timeout(0.01):
            await pausing
        return await task

    assert len(run_virtual(main()).tokens) == 500


def test_a_cancelled_turn_does_not_swallow_another_that_ends_with_it() -> None:
    async def main() -> None:
        engine = SimulatedEngine(SMALL)
        tasks = [asyncio.create_task(engine.generate(turn(max_tokens=50, first=n))) for n in (1, 2)]
        await asyncio.sleep(0.05)
        tasks[0].cancel()
        assert len((await tasks[1]).tokens) == 50
        assert engine.stats().running == 0

    run_virtual(main())


def test_a_cache_or_a_batch_of_no_size_is_refused() -> None:
    with pytest.raises(InputError, match="less than one block of 32"):
        SimulatedEngine(SMALL, kv_tokens=31)
    with pytest.raises(InputError, match="max_num_seqs is 0"):
        SimulatedEngine(SMALL, max_num_seqs=0)
    with pytest.raises(InputError, match="max_num_seqs is 513"):
        SimulatedEngine(SMALL, max_num_seqs=513)
