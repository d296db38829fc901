"""What becomes of waiting turns when a policy fails while no event of theirs is being handled."""

from typing import ClassVar

from headway.engine.scripted import ScriptedEngine
from headway.profiles.virtual_time import run_virtual
from headway.scheduler import Episode, EpisodeConfig, Outcome, Scheduler, Task, TurnConfig
from headway.scheduler.policy import Policy, Reason, Wait


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
