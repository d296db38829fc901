"""What every kind of engine has to do: subclass ``EngineContract`` and give it an ``engine``.

One without a prefix cache and preemption has ``TurnContract`` to keep. The engine's context is 1,000 tokens
or more, its KV cache less than eight times 320 tokens; it runs four turns at a time, and ``weights`` are a
file that it can load as ``version``. ``engine`` may be shared: every test leaves it idle and stepping.
"""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.engine import Engine, Generation, Request, Sampling
from headway.errors import InputError

_numbers = itertools.count(1)


def turn(
    length: int = 40, *, max_tokens: int = 16, temperature: float = 0.0, priority: int = 0, first: int = 1
) -> Request:
    """A turn with an id of its own; ``first`` tells prompts apart from their first token on."""
    return Request(
        id=f"turn-{next(_numbers)}",
        prompt=[(first + 7 * position) % 500 for position in range(length)],
        sampling=Sampling(max_tokens=max_tokens, temperature=temperature),
        priority=priority,
    )


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - statistics come without an event
            await asyncio.sleep(0.005)


async def start_generating(engine: Engine, request: Request, *, tokens: int = 5) -> asyncio.Task[Generation]:
    """The turn's task, once the engine has generated some tokens of it."""
    before = engine.stats().generated_tokens
    task = asyncio.create_task(engine.generate(request))
    await until(lambda: engine.stats().generated_tokens >= before + tokens)
    return task


class TurnContract:
    async def test_every_token_has_a_logprob_and_a_version(self, engine: Engine) -> None:
        generation = await engine.generate(turn(max_tokens=16, temperature=1.0))
        assert len(generation.tokens) == len(generation.logprobs) == len(generation.versions) == 16
        assert generation.finish_reason == "length"
        assert all(logprob <= 0 for logprob in generation.logprobs)
        assert 0 <= generation.queue_s <= generation.first_token_s

    async def test_the_cache_is_a_whole_number_of_blocks(self, engine: Engine) -> None:
        assert engine.info.kv_tokens % engine.info.block_size == 0
        assert engine.info.max_context <= engine.info.kv_tokens

    async def test_an_aborted_turn_returns_what_there_is(self, engine: Engine) -> None:
        request = turn(max_tokens=900)
        task = await start_generating(engine, request)
        await engine.abort(request.id)
        generation = await task
        assert generation.finish_reason == "abort"
        assert 0 < len(generation.tokens) < 900
        assert len(generation.tokens) == len(generation.logprobs) == len(generation.versions)

    async def test_aborting_an_unknown_turn_does_nothing(self, engine: Engine) -> None:
        await engine.abort("no such turn")

    async def test_a_cancelled_caller_frees_the_engine(self, engine: Engine) -> None:
        task = await start_generating(engine, turn(max_tokens=900))
        assert engine.stats().running == 1
        assert engine.stats().kv_usage > 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: engine.stats().running == 0)
        assert engine.stats().kv_usage == 0
        generated = engine.stats().generated_tokens
        await engine.generate(turn(max_tokens=1))
        assert engine.stats().generated_tokens - generated < 10

    async def test_a_paused_engine_keeps_its_turn_for_later(self, engine: Engine) -> None:
        task = await start_generating(engine, turn(max_tokens=800))
        await engine.pause()
        generated = engine.stats().generated_tokens
        await asyncio.sleep(0.2)
        assert engine.stats().generated_tokens == generated
        assert not task.done()
        await engine.resume()
        generation = await task
        assert len(generation.tokens) == 800
        assert generation.preemptions == 0

    async def test_a_turn_in_flight_goes_on_across_a_weight_update(
        self, engine: Engine, weights: Path, version: int
    ) -> None:
        task = await start_generating(engine, turn(max_tokens=800))
        await engine.update_weights(weights, version)
        generation = await task
        assert len(generation.tokens) == 800
        assert generation.finish_reason == "length"
        assert generation.versions == sorted(generation.versions)
        assert len(set(generation.versions)) == 2
        assert generation.versions[-1] == version

    async def test_a_weight_update_drops_the_cache(self, engine: Engine, weights: Path, version: int) -> None:
        await engine.generate(turn(length=70, first=23))
        await engine.update_weights(weights, version)
        generation = await engine.generate(turn(length=70, first=23))
        assert generation.cached_tokens == 0
        assert set(generation.versions) == {version}

    async def test_a_paused_engine_stays_paused_over_an_update(
        self, engine: Engine, weights: Path, version: int
    ) -> None:
        await engine.pause()
        await engine.update_weights(weights, version)
        task = asyncio.create_task(engine.generate(turn()))
        await asyncio.sleep(0.2)
        assert not task.done()
        await engine.resume()
        assert set((await task).versions) == {version}

    async def test_a_missing_weights_file_changes_nothing(self, engine: Engine, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such weights file"):
            await engine.update_weights(tmp_path / "missing.safetensors", 10_000)
        assert 10_000 not in (await engine.generate(turn())).versions

    async def test_a_lower_priority_number_goes_first(self, engine: Engine) -> None:
        await engine.pause()
        late = [asyncio.create_task(engine.generate(turn(priority=5))) for _ in range(4)]
        await asyncio.sleep(0.1)
        early = [asyncio.create_task(engine.generate(turn(priority=1))) for _ in range(4)]
        await asyncio.sleep(0.1)
        await engine.resume()
        waited_late = [generation.queue_s for generation in await asyncio.gather(*late)]
        waited_early = [generation.queue_s for generation in await asyncio.gather(*early)]
        # The late ones were also submitted a tenth of a second before the early ones.
        assert min(waited_late) - 0.05 > max(waited_early)

    async def test_every_step_reaches_the_statistics(self, engine: Engine) -> None:
        before = engine.stats()
        seen = set()
        task = asyncio.create_task(engine.generate(turn(length=33, max_tokens=200)))
        while not task.done():
            seen.add(engine.stats().steps)
            await asyncio.sleep(0)
        await until(lambda: engine.stats().running == 0)
        after = engine.stats()
        assert after.generated_tokens - before.generated_tokens == 200
        assert after.prompt_tokens - before.prompt_tokens == 33
        assert after.steps - before.steps >= 200
        assert len(seen) > 20

    async def test_an_empty_prompt_is_refused(self, engine: Engine) -> None:
        with pytest.raises(InputError, match="empty"):
            await engine.generate(turn(length=0))

    async def test_a_prompt_without_room_to_answer_is_refused(self, engine: Engine) -> None:
        with pytest.raises(InputError, match="max_context"):
            await engine.generate(turn(length=engine.info.max_context))

    async def test_a_turn_ends_at_the_end_of_the_context(self, engine: Engine) -> None:
        length = engine.info.max_context - 10
        generation = await engine.generate(turn(length=length, max_tokens=100))
        assert len(generation.tokens) == 10
        assert generation.finish_reason == "length"

    async def test_an_id_in_flight_is_not_taken_twice(self, engine: Engine) -> None:
        request = turn(max_tokens=800)
        task = await start_generating(engine, request)
        with pytest.raises(ValueError, match="already in flight"):
            await engine.generate(request)
        await task


class EngineContract(TurnContract):
    async def test_a_resumed_turn_finds_its_prefix_cached(self, engine: Engine) -> None:
        first = turn(length=70, first=11)
        answer = await engine.generate(first)
        again = turn()
        resumed = Request(id=again.id, prompt=first.prompt + answer.tokens, sampling=again.sampling)
        cached = (await engine.generate(resumed)).cached_tokens
        assert 64 <= cached < len(resumed.prompt)
        assert cached % engine.info.block_size == 0

    async def test_too_many_turns_preempt_each_other_and_still_finish(self, engine: Engine) -> None:
        before = engine.stats().preemptions
        turns = [turn(length=20, max_tokens=300, first=number) for number in range(8)]
        generations = await asyncio.gather(*(engine.generate(request) for request in turns))
        assert all(len(generation.tokens) == 300 for generation in generations)
        preemptions = sum(generation.preemptions for generation in generations)
        assert preemptions > 0
        assert engine.stats().preemptions - before == preemptions
