import msgspec
import pytest

from headway.scheduler.rollout import Rollout
from headway.trainer.measures import measure

from .records import rollout


def cut_off(record: Rollout) -> Rollout:
    return msgspec.structs.replace(record, finish_reason="length")


def test_shares_and_means_are_over_the_scored_rollouts() -> None:
    rollouts = [
        rollout(reward=1.0, calls="..x", written=10, turns=4),
        rollout(reward=1.0, calls=".", written=20, turns=2),
        cut_off(rollout(reward=0.0, calls="xx", written=30, turns=3)),
        rollout(reward=0.0, written=40),
        rollout(reward=None, calls="xxx", written=5),
    ]
    said = measure(rollouts, version=2)
    assert (said.trajectories, said.failed) == (5, 1)
    assert said.scored == 4
    assert said.pass_at_1 == 0.5
    assert said.tool_error == pytest.approx(3 / 6)
    assert said.tool_error_in_correct == pytest.approx(1 / 4)
    assert said.turns == 2.5
    assert (said.response_tokens, said.response_tokens_max) == (25, 40)
    assert said.truncated == 0.25


def test_tokens_and_preemptions_are_summed_over_failed_rollouts_too() -> None:
    said = measure([rollout(written=10, turns=2), rollout(reward=None, written=5)], version=2)
    assert (said.generated_tokens, said.preemptions) == (15, 3)


def test_staleness_is_how_many_versions_old_the_written_tokens_are() -> None:
    assert measure([rollout(written=4), rollout(written=8)], version=2).staleness == 0
    said = measure([rollout(written=4), rollout(written=8)], version=5)
    assert (said.staleness, said.staleness_max) == (3, 3)


def test_groups_are_solved_by_one_right_rollout_and_fully_by_all() -> None:
    rewards = {"g1": [1.0, 1.0], "g2": [1.0, 0.0], "g3": [0.0, 0.0, 0.0], "g4": [1.0, None]}
    rollouts = [
        msgspec.structs.replace(rollout(reward=reward), group=group)
        for group, each in rewards.items()
        for reward in each
    ]
    said = measure(rollouts, version=2)
    assert (said.solved, said.fully_solved) == (0.75, 0.5)


def test_nothing_scored_is_zero_and_not_an_error() -> None:
    said = measure([rollout(reward=None)], version=0)
    assert (said.trajectories, said.failed, said.pass_at_1, said.turns, said.staleness) == (1, 1, 0, 0, 0)
    assert measure([], version=0).trajectories == 0
