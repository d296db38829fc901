"""What becomes of waiting turns when a policy fails while no event of theirs is being handled."""

import asyncio
from typing import ClassVar

import uvloop

from headway.engine.scripted import ScriptedEngine
from headway.profiles.virtual_time import run_virtual
from headway.scheduler import Episode, EpisodeConfig, Outcome, Scheduler, Task, TurnConfig
from headway.scheduler.policy import Place, Policy, Reason, Wait


class BreaksAtItsTimer(Policy):
    name: ClassVar[str] = "breaks_at_its_timer"

    def place(self, trajectory, fleet):
        return Wait(Reason.CAP)

    def wake_at(self, fleet):
        return 5.0 if fleet.live else None

    def wake(self, fleet):
        raise ValueError("the policy is broken")


async def agent(episode: Episode) -> Outcome:
    episode.observe([1, 2, 3])
    await episode.generate(4)
    return Outcome("answer")


async def no_reward(task: Task, outcome: Outcome) -> None:
    return None


def test_turns_that_wait_fail_with_the_error_of_a_policy_whose_timer_fails() -> None:
    async def main():
        scheduler = Scheduler(
            [ScriptedEngine(lambda prompt: [7])],
            policy=BreaksAtItsTimer(),
            agent=agent,
            reward=no_reward,
            episodes=EpisodeConfig(max_context=64),
            turns=TurnConfig(),
        )
        return await scheduler.submit(Task(id="t", messages=[]), samples=2)

    failures = [rollout.failure for rollout in run_virtual(main()).rollouts]
    assert [failure.message for failure in failures if failure] == ["the policy is broken"] * 2


class IsLate(Policy):
    """Wants to be woken at a moment that is over, for as long as something lives."""

    name: ClassVar[str] = "is_late"

    def place(self, trajectory, fleet):
        return Place("engine-0", Reason.NEW)

    def wake_at(self, fleet):
        return 0.001 if fleet.live else None


def test_a_timer_that_is_due_already_is_one_like_any_other() -> None:
    async def main():
        scheduler = Scheduler(
            [ScriptedEngine(lambda prompt: [7])],
            policy=IsLate(),
            agent=agent,
            reward=no_reward,
            episodes=EpisodeConfig(max_context=64),
            turns=TurnConfig(),
        )
        return await scheduler.submit(Task(id="t", messages=[]), samples=4)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        group = runner.run(main())
    assert [rollout.failure for rollout in group.rollouts] == [None] * 4
