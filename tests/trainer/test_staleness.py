"""Rollouts that run ahead of training, and those that have become too old."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.engine import EngineError, Generation, Request
from headway.engine.scripted import ScriptedEngine
from headway.errors import HeadwayError
from headway.profiles.virtual_time import run_virtual
from headway.scheduler import (
    Episode,
    EpisodeConfig,
    Message,
    Outcome,
    Scheduler,
    Task,
    TurnConfig,
    make_policy,
)
from headway.trainer.collector import Collected, Collector
from headway.trainer.grpo_config import GrpoConfig
from headway.trainer.importance import ImportanceConfig
from headway.trainer.optimizer_config import OptimizerConfig
from headway.trainer.task_cursor import TaskCursor


async def agent(episode: Episode) -> Outcome:
    episode.observe([1, int(episode.task.id)])
    await episode.generate(500)
    return Outcome("answer", answer=episode.id.rpartition(".")[2])


async def reward(task: Task, outcome: Outcome) -> float:
    """One of four is right; of every seventh task none."""
    return float(outcome.answer == "1" and int(task.id) % 7 != 6)


class Loop:
    """Batches in virtual time: a token takes a second, training on a batch ``train_s``."""

    def __init__(
        self,
        config: GrpoConfig,
        lengths: Sequence[int],
        train_s: float = 10.0,
        kind: type[ScriptedEngine] = ScriptedEngine,
    ) -> None:
        self.engine = kind(lambda prompt: [5] * lengths[prompt[-1] % len(lengths)], seconds_per_token=1.0)
        self.scheduler = Scheduler(
            [self.engine],
            policy=make_policy("headroom"),
            agent=agent,
            reward=reward,
            episodes=EpisodeConfig(max_context=1024),
            turns=TurnConfig(timeout_s=1e6),
        )
        self.train_s = train_s
        self.running_while_training: list[int] = []
        self.collector = Collector(
            config=config,
            scheduler=self.scheduler,
            tasks=TaskCursor(
                Task(id=str(number), messages=[Message("user", "?")]) for number in range(10_000)
            ),
            on_group=lambda group, usable: None,
        )

    async def run(self, batches: int) -> list[Collected]:
        collected = []
        for version in range(batches):
            collected.append(await self.collector.collect(version))
            await asyncio.sleep(self.train_s)
            self.running_while_training.append(self.engine.stats().running)
            await self.engine.update_weights(None, version + 1)  # type: ignore[arg-type]
        self.state = self.collector.state
        await self.collector.close()
        return collected


def config(**options: Any) -> GrpoConfig:
    return GrpoConfig(prompts=3, samples=4, keep=2, refill=4, **options)


def ages(batch: Collected, version: int) -> list[int]:
    return [
        version - v
        for rollouts in batch.kept
        for rollout in rollouts
        for v, written in zip(rollout.versions, rollout.mask, strict=True)
        if written
    ]


def test_without_staleness_nothing_runs_while_a_batch_is_trained_on() -> None:
    loop = Loop(config(), [5, 30, 9])
    batches = run_virtual(loop.run(4))
    assert loop.running_while_training == [0] * 4
    assert [max(ages(batch, version)) for version, batch in enumerate(batches)] == [0] * 4


def test_with_staleness_the_next_batch_is_rolled_out_meanwhile_and_time_is_saved() -> None:
    async def timed(staleness: int) -> tuple[float, Loop]:
        loop = Loop(config(max_staleness=staleness), [20, 21, 22], train_s=20.0)
        await loop.run(6)
        return asyncio.get_running_loop().time(), loop

    alone, _ = run_virtual(timed(0))
    ahead, loop = run_virtual(timed(1))
    assert any(loop.running_while_training)
    assert ahead < 0.75 * alone


@settings(max_examples=60)
@given(
    st.integers(0, 3),
    st.sampled_from(["reweight", "refuse"]),
    st.lists(st.integers(1, 60), min_size=1, max_size=9),
    st.floats(0, 80),
)
def test_every_group_that_was_drawn_is_given_out_once_or_is_still_to_come(
    staleness: int, rule: Any, lengths: list[int], train_s: float
) -> None:
    loop = Loop(config(max_staleness=staleness, too_old=rule), lengths, train_s)
    batches = run_virtual(loop.run(6))
    given_out = [group.rollouts[0].group for batch in batches for group in batch.groups]
    to_come = [f"g{drawn.number}" for drawn in loop.state.pending]
    everyone = given_out + to_come
    assert sorted(everyone) == sorted(f"g{number}" for number in range(1, loop.state.drawn + 1))
    for version, batch in enumerate(batches):
        assert len(batch.kept) <= 3
        old = sum(max(ages(Collected(kept=[kept]), version), default=0) > staleness for kept in batch.kept)
        assert batch.reweighted == old
        assert not (old and rule == "refuse")
        assert len(batch.groups) == len(batch.kept) + sum(batch.rejected.values())


SLOW = [100, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]  # the first group is overtaken by several batches


def test_a_group_that_was_overtaken_is_trained_on_and_counted() -> None:
    batches = run_virtual(Loop(config(max_staleness=1), SLOW).run(12))
    assert sum(batch.reweighted for batch in batches) == 1
    assert all(batch.rejections.too_old == 0 for batch in batches)


def test_a_group_that_was_overtaken_is_refused_and_replaced_where_that_is_the_rule() -> None:
    batches = run_virtual(Loop(config(max_staleness=1, too_old="refuse"), SLOW).run(12))
    assert sum(batch.rejections.too_old for batch in batches) == 1
    assert all(batch.reweighted == 0 for batch in batches)
    assert [len(batch.kept) for batch in batches] == [3] * 12
    for version, batch in enumerate(batches):
        assert max(ages(batch, version)) <= 1


def test_a_batch_does_not_depend_on_the_order_in_which_its_groups_complete() -> None:
    lengths = [3, 9, 27, 14, 20, 5]
    orders = []
    for seed in range(4):
        random.Random(seed).shuffle(lengths)
        batches = run_virtual(Loop(config(), lengths).run(3))
        orders.append([[r.id for kept in batch.kept for r in kept] for batch in batches])
    assert all(order == orders[0] for order in orders)


class FailsOnce(ScriptedEngine):
    """Fails every turn of the fifth task, while the others go on."""

    async def generate(self, request: Request) -> Generation:
        if request.prompt[-1] == 4:
            await asyncio.sleep(8)  # the first batch is given out by then
            raise EngineError("engine-0 died: out of luck")
        return await super().generate(request)


def test_a_group_that_an_engine_failed_is_still_to_come_whenever_the_run_ends() -> None:
    async def main() -> None:
        loop = Loop(config(max_staleness=1), [5], kind=FailsOnce)
        first = await loop.collector.collect(0)
        await asyncio.sleep(50)
        given_out = {group.rollouts[0].group for group in first.groups}
        pending = {f"g{drawn.number}" for drawn in loop.collector.state.pending}
        assert "g5" in pending
        assert given_out | pending == {f"g{n}" for n in range(1, loop.collector.state.drawn + 1)}
        with pytest.raises(HeadwayError, match="out of luck"):
            await loop.collector.collect(1)
        await loop.collector.close()

    run_virtual(main())


def test_nothing_is_rolled_out_for_batches_that_do_not_come() -> None:
    async def main() -> None:
        loop = Loop(config(max_staleness=2), [5])
        for left in (2, 1, 0):
            await loop.collector.collect(2 - left, left=left)
            await asyncio.sleep(1000)
        assert loop.collector.state.pending == []

    run_virtual(main())


def test_old_rollouts_without_importance_weights_are_refused_by_the_configuration() -> None:
    off = OptimizerConfig(importance=ImportanceConfig(level="off"))
    with pytest.raises(ValueError, match="`max_staleness` needs importance weights"):
        config(max_staleness=1, optimizer=off)
    assert config(max_staleness=1, optimizer=off, too_old="refuse").max_staleness == 1
