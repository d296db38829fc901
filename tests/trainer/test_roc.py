import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.trainer.roc import (
    Rejection,
    RocConfig,
    advantages,
    format_penalty,
    rejection,
    select,
    tool_error_penalty,
)

from .records import rollout


@pytest.mark.parametrize(("calls", "penalty"), [("", 0.5), ("..", 0.0), (".x", 0.5), ("xxx", 1.0)])
def test_the_tool_penalty_is_the_share_of_failed_calls_and_a_half_without_any(
    calls: str, penalty: float
) -> None:
    assert tool_error_penalty(rollout(calls=calls)) == penalty


@pytest.mark.parametrize(
    ("tags", "turns", "penalty"), [(0, 1, 1.0), (1, 1, 0.0), (1, 5, 0.0), (3, 4, 0.5), (9, 2, 1.0)]
)
def test_the_format_penalty_counts_surplus_answer_tags(tags: int, turns: int, penalty: float) -> None:
    assert format_penalty(rollout(answer_tags=tags, turns=turns)) == penalty


@given(
    rewards=st.lists(st.sampled_from([0.0, 1.0, None]), min_size=1, max_size=40),
    keep=st.integers(2, 20),
    seed=st.integers(0, 99),
    method=st.sampled_from(["inverse", "lowest", "uniform"]),
)
def test_a_selection_has_the_right_size_keeps_both_kinds_and_never_a_failed_trajectory(
    rewards, keep, seed, method
) -> None:
    group = [rollout(reward=reward, calls=".x"[: i % 3], id=f"g1.{i}") for i, reward in enumerate(rewards)]
    scored = [reward for reward in rewards if reward is not None]
    reason = rejection(group, keep)
    assert (reason is None) == (len(scored) >= keep and len(set(scored)) == 2)
    if reason is not None:
        return
    kept = select(group, keep, random.Random(seed), RocConfig(method=method))
    assert len({r.id for r in kept}) == len(kept) == keep
    assert {r.reward for r in kept} == {0.0, 1.0}
    share = keep * sum(scored) / len(scored)
    right = sum(r.reward for r in kept)
    assert abs(right - share) <= 1 or right in (1, keep - 1)


def test_half_of_each_kind_is_kept_when_half_is_kept() -> None:
    group = [rollout(reward=float(i < 4), id=f"g1.{i}") for i in range(12)]
    kept = select(group, 6, random.Random(0), RocConfig())
    assert Counter(r.reward for r in kept) == {1.0: 2, 0.0: 4}


def test_inverse_sampling_prefers_clean_successes_in_proportion_to_their_weights() -> None:
    clean = rollout(reward=1.0, calls=".", id="clean")  # penalty 0, weight 1 / 0.5
    dirty = rollout(reward=1.0, calls="x", id="dirty")  # penalty 1, weight 1 / 1.5
    wrong = [rollout(reward=0.0, id=f"w{i}") for i in range(2)]
    rng = random.Random(1)
    drawn = Counter()
    for _ in range(4000):
        kept = select([clean, dirty, *wrong], 2, rng, RocConfig(epsilon=0.5))
        drawn[kept[0].id] += 1
    assert drawn["clean"] / 4000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("rewards", "reason"),
    [
        ([1.0, 1.0, 1.0], Rejection.ALL_RIGHT),
        ([0.0, 0.0, None, 0.0], Rejection.ALL_WRONG),
        ([1.0, 0.0, None], Rejection.UNSCORED),
        ([1.0, 0.0, 0.0], None),
    ],
)
def test_a_group_is_rejected_for_a_reason(rewards: list[float | None], reason: Rejection | None) -> None:
    assert rejection([rollout(reward=reward) for reward in rewards], 3) == reason


@pytest.mark.parametrize("config", [RocConfig(epsilon=0.0), RocConfig(method="lowest")])
def test_equally_clean_successes_are_taken_at_random(config: RocConfig) -> None:
    right = [rollout(reward=1.0, calls=".", id=f"r{i}") for i in range(4)]
    wrong = [rollout(reward=0.0, id=f"w{i}") for i in range(4)]
    rng = random.Random(5)
    drawn = Counter(r.id for _ in range(1000) for r in select(right + wrong, 4, rng, config) if r.reward)
    assert set(drawn) == {"r0", "r1", "r2", "r3"}
    assert all(count == pytest.approx(500, rel=0.2) for count in drawn.values())


def test_without_epsilon_a_clean_success_always_goes_before_one_with_errors() -> None:
    dirty = [rollout(reward=1.0, calls="x", id=f"d{i}") for i in range(3)]
    clean = rollout(reward=1.0, calls=".", id="clean")
    wrong = [rollout(reward=0.0, id=f"w{i}") for i in range(4)]
    for seed in range(50):
        kept = select([*dirty, clean, *wrong], 4, random.Random(seed), RocConfig(epsilon=0.0))
        assert "clean" in {r.id for r in kept}


def test_lowest_always_takes_the_cleanest_and_uniform_does_not_care() -> None:
    right = [rollout(reward=1.0, calls="." * (8 - i) + "x" * i, id=f"r{i}") for i in range(8)]
    wrong = [rollout(reward=0.0, id=f"w{i}") for i in range(8)]
    rng = random.Random(3)
    lowest = select(right + wrong, 8, rng, RocConfig(method="lowest"))
    assert {r.id for r in lowest if r.reward} == {"r0", "r1", "r2", "r3"}
    drawn = Counter(
        r.id
        for _ in range(2000)
        for r in select(right + wrong, 8, rng, RocConfig(method="uniform"))
        if r.reward
    )
    assert all(count == pytest.approx(1000, rel=0.15) for count in drawn.values())


def test_advantages_are_the_groups_standard_scores_with_the_sample_deviation() -> None:
    assert advantages([1.0, 0.0, 0.0, 0.0], 0.0) == pytest.approx([1.5, -0.5, -0.5, -0.5])
    assert advantages([1.0, 1.0], 1e-4) == [0.0, 0.0]
