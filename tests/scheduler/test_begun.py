"""Groups that an earlier run has begun."""

import asyncio
from collections.abc import Sequence

import pytest

from headway.engine.scripted import ScriptedEngine
from headway.profiles.virtual_time import run_virtual
from headway.scheduler import (
    Episode,
    EpisodeConfig,
    Outcome,
    Rollout,
    Scheduler,
    Task,
    TurnConfig,
    make_policy,
)

TASK = Task(id="t", messages=[])


def write(prompt: Sequence[int]) -> list[int]:
    return [len(prompt), len(prompt) + 1]


async def reward(task: Task, outcome: Outcome) -> float:
    return 1.0


class Agent:
    """Takes three turns; ``observed`` is what stands between them."""

    def __init__(self, observed: int = 9) -> None:
        self.observed = observed

    async def __call__(self, episode: Episode) -> Outcome:
        episode.observe([1, 2, 3])
        for _ in range(3):
            await episode.generate(8)
            episode.observe([self.observed])
        return Outcome("answer")


def make(engine: ScriptedEngine, agent: Agent, begun: Sequence[Rollout] = (), told: list | None = None):
    return Scheduler(
        [engine],
        policy=make_policy("headroom"),
        agent=agent,
        reward=reward,
        episodes=EpisodeConfig(max_context=64),
        turns=TurnConfig(),
        on_rollout=(told if told is not None else []).append,
        begun={"mine": begun},
    )


async def left_unfinished(seconds: float) -> list[Rollout]:
    """What there is of a group of two after a while; each token takes a second."""
    scheduler = make(ScriptedEngine(write, seconds_per_token=1.0), Agent())
    group = scheduler.submit(TASK, samples=2, name="mine")
    await asyncio.sleep(seconds)
    unfinished = scheduler.unfinished()
    group.cancel()
    await asyncio.gather(group, return_exceptions=True)
    assert scheduler.unfinished() == []
    return unfinished


def test_a_live_trajectory_is_told_up_to_the_end_of_its_last_turn() -> None:
    async def main():
        assert await left_unfinished(1.5) == []
        for seconds, turns in ((2.5, 1), (5.5, 2)):
            for rollout in await left_unfinished(seconds):
                assert rollout.finish_reason == "unfinished"
                assert len(rollout.turns) == turns
                assert rollout.turns[-1].end == len(rollout.tokens) == len(rollout.versions)

    run_virtual(main())


@pytest.mark.parametrize(("observed", "turns_again"), [(9, 1), (8, 2)], ids=["same tool", "other words"])
def test_an_unfinished_trajectory_goes_on_where_its_record_still_holds(
    observed: int, turns_again: int
) -> None:
    async def main():
        begun = await left_unfinished(5.5)
        engine = ScriptedEngine(write)
        scheduler = make(engine, Agent(observed), begun)
        group = await scheduler.submit(TASK, samples=2, name="mine")
        whole = await make(ScriptedEngine(write), Agent(observed)).submit(TASK, samples=2, name="mine")
        assert [r.tokens for r in group.rollouts] == [r.tokens for r in whole.rollouts]
        assert [len(r.turns) for r in group.rollouts] == [3, 3]
        assert len(engine.requests) == 2 * turns_again

    run_virtual(main())


def test_tool_words_of_the_record_are_never_taken_for_the_models() -> None:
    async def short(episode: Episode) -> Outcome:
        episode.observe([1, 2])  # the record's prompt has one token more
        await episode.generate(8)
        return Outcome("answer")

    async def main():
        engine = ScriptedEngine(write)
        scheduler = make(engine, Agent(), await left_unfinished(5.5))
        (rollout, _) = (await scheduler.submit(TASK, samples=2, name="mine", agent=short)).rollouts
        assert rollout.tokens == [1, 2, 2, 3]
        assert len(engine.requests) == 2

    run_virtual(main())


def test_a_record_of_another_task_is_no_part_of_a_group() -> None:
    async def main():
        before: list[Rollout] = []
        await make(ScriptedEngine(write), Agent(), told=before).submit(TASK, samples=2, name="mine")
        scheduler = make(ScriptedEngine(write), Agent(), before)
        other = await scheduler.submit(Task(id="other", messages=[]), samples=2, name="mine")
        assert {rollout.task for rollout in other.rollouts} == {"other"}

    run_virtual(main())


def test_a_finished_trajectory_is_not_run_again_nor_told_again() -> None:
    async def main():
        before: list[Rollout] = []
        await make(ScriptedEngine(write), Agent(), told=before).submit(TASK, samples=3, name="mine")
        engine, told = ScriptedEngine(write), []
        scheduler = make(engine, Agent(), before[1:], told)
        group = await scheduler.submit(TASK, samples=3, name="mine")
        assert [r.id for r in group.rollouts] == ["mine.0", "mine.1", "mine.2"]
        assert group.rollouts[1:] == before[1:]
        assert [r.id for r in told] == ["mine.0"]
        assert len(engine.requests) == 3
        again = await scheduler.submit(TASK, samples=1, name="other")
        assert [r.id for r in again.rollouts] == ["other.0"]

    run_virtual(main())


def test_a_group_may_have_an_agent_of_its_own() -> None:
    async def short(episode: Episode) -> Outcome:
        episode.observe([1])
        await episode.generate(1)
        return Outcome("no_answer")

    async def main():
        scheduler = make(ScriptedEngine(write), Agent())
        own, usual = await asyncio.gather(
            scheduler.submit(TASK, samples=1, agent=short), scheduler.submit(TASK, samples=1)
        )
        assert [r.finish_reason for r in own.rollouts + usual.rollouts] == ["no_answer", "answer"]

    run_virtual(main())


def test_a_response_limit_counts_all_that_follows_the_prompt() -> None:
    async def agent(episode: Episode) -> Outcome:
        episode.observe([1, 2, 3])
        episode.limit_response(5)
        await episode.generate(8)
        episode.observe([9])
        last = await episode.generate(8)
        assert last.finish_reason == "stop"
        assert episode.room == 0
        return Outcome("answer")

    async def main():
        scheduler = make(ScriptedEngine(write), Agent())
        group = await scheduler.submit(TASK, samples=1, agent=agent)
        assert [len(r.tokens) for r in group.rollouts] == [8]

    run_virtual(main())
