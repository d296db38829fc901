import itertools
import math
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headway.errors import InputError
from headway.scheduler import Rollout
from headway.trainer.grpo_config import GrpoConfig
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
    ("tags", "turns", "penalty"),
    [(0, 1, 1.0), (1, 1, 0.0), (2, 1, 1.0), (1, 5, 0.0), (3, 4, 0.5), (9, 2, 1.0), (0, 0, 1.0), (1, 0, 0.0)],
)
def test_the_format_penalty_counts_surplus_answer_tags(tags: int, turns: int, penalty: float) -> None:
    assert format_penalty(rollout(answer_tags=tags, turns=turns)) == penalty


GROUPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, None]), st.sampled_from(["", ".", "x", ".x", "xx"]), st.integers(0, 3)
    ),
    min_size=1,
    max_size=40,
)


def group_of(drawn: list[tuple[float | None, str, int]]) -> list[Rollout]:
    return [
        rollout(reward=reward, calls=calls, answer_tags=tags, id=f"g1.{i}")
        for i, (reward, calls, tags) in enumerate(drawn)
    ]


@given(
    drawn=GROUPS,
    keep=st.integers(2, 21),
    seed=st.integers(0, 99),
    method=st.sampled_from(["inverse", "lowest", "uniform"]),
    epsilon=st.sampled_from([0.0, 0.1]),
    least_right=st.integers(1, 9),
    least_wrong=st.integers(1, 9),
)
def test_a_selection_has_the_right_size_keeps_both_kinds_and_their_proportion(
    drawn, keep, seed, method, epsilon, least_right, least_wrong
) -> None:
    assume(least_right + least_wrong <= keep)
    group = group_of(drawn)
    scored = [record.reward for record in group if record.reward is not None]
    reason = rejection(group, keep)
    assert (reason is None) == (len(scored) >= keep and len(set(scored)) == 2)
    if reason is not None:
        return
    config = RocConfig(method=method, epsilon=epsilon, least_right=least_right, least_wrong=least_wrong)
    kept = select(group, keep, random.Random(seed), config)
    assert len({r.id for r in kept}) == len(kept) == keep
    assert {r.reward for r in kept} == {0.0, 1.0}
    n_right, n_wrong = sum(scored), len(scored) - sum(scored)
    right = sum(r.reward for r in kept)
    assert right >= min(least_right, n_right)
    assert keep - right >= min(least_wrong, n_wrong)
    on_a_floor = right == min(least_right, n_right) or keep - right == min(least_wrong, n_wrong)
    assert on_a_floor or abs(right - keep * n_right / len(scored)) <= 0.5
    assert kept == select(group, keep, random.Random(seed), config)


@given(
    penalties=st.lists(st.integers(0, 4), min_size=2, max_size=16),
    seed=st.integers(0, 99),
    config=st.sampled_from([RocConfig(method="lowest"), RocConfig(epsilon=0.0)]),
)
def test_the_lowest_rule_keeps_no_success_that_is_worse_than_one_it_leaves(penalties, seed, config) -> None:
    """With epsilon 0 that holds for clean ones alone: they have all the weight."""
    right = [rollout(reward=1.0, calls="." * (4 - p) + "x" * p, id=f"r{i}") for i, p in enumerate(penalties)]
    wrong = [rollout(reward=0.0, id=f"w{i}") for i in range(len(right))]
    kept = [r for r in select(right + wrong, len(right), random.Random(seed), config) if r.reward]
    left = [r for r in right if r not in kept]
    worst, best = max(map(tool_error_penalty, kept)), min(map(tool_error_penalty, left), default=9.0)
    assert worst <= best or (config.method == "inverse" and best > 0)


@given(
    rewards=st.lists(st.sampled_from([-1.0, 0.0, 0.3, 1.0]), min_size=2, max_size=20),
    keep=st.integers(2, 10),
    seed=st.integers(0, 99),
)
def test_rewards_between_right_and_wrong_are_kept_in_the_right_number_too(rewards, keep, seed) -> None:
    group = [rollout(reward=reward, id=f"g1.{i}") for i, reward in enumerate(rewards)]
    if rejection(group, keep) is None:
        assert len({r.id for r in select(group, keep, random.Random(seed), RocConfig())}) == keep


@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_reward_that_is_no_number_is_an_error_that_names_the_rollout(reward: float) -> None:
    group = [rollout(reward=1.0), rollout(reward=reward, id="g1.7"), rollout(reward=0.0)]
    with pytest.raises(InputError, match=f"rollout g1.7 of task t has the reward {reward}; a reward is"):
        rejection(group, 2)


@pytest.mark.parametrize(
    ("right", "wrong", "keep", "expected"),
    [
        (4, 8, 6, 2),
        (5, 7, 6, 3),  # the odd one goes to the successes
        (7, 5, 6, 4),
        (5, 4, 5, 3),  # an odd G of an odd group
        (1, 11, 6, 1),
        (11, 1, 6, 5),
        (16, 16, 16, 8),
        (31, 1, 16, 15),
    ],
)
def test_kinds_keep_their_proportion_and_the_odd_one_is_a_success(
    right: int, wrong: int, keep: int, expected: int
) -> None:
    group = [rollout(reward=float(i < right), id=f"g1.{i}") for i in range(right + wrong)]
    assert sum(r.reward or 0 for r in select(group, keep, random.Random(0), RocConfig())) == expected


def test_floors_keep_so_many_of_a_kind_where_there_are_as_many() -> None:
    def kept(right: int, wrong: int) -> int:
        group = [rollout(reward=float(i < right), id=f"g1.{i}") for i in range(right + wrong)]
        config = RocConfig(least_right=2, least_wrong=3)
        return int(sum(r.reward or 0 for r in select(group, 6, random.Random(0), config)))

    assert [kept(1, 11), kept(2, 10), kept(6, 6), kept(9, 3), kept(10, 2)] == [1, 2, 3, 3, 4]


def chi_square(drawn: Counter, expected: dict) -> float:
    """Pearson's statistic; ``expected`` are the probabilities of every outcome."""
    total = sum(drawn.values())
    assert set(drawn) <= set(expected)
    assert sum(expected.values()) == pytest.approx(1)
    return sum((drawn[outcome] - total * p) ** 2 / (total * p) for outcome, p in expected.items())


CALLS = [".", "....x", ".x", "x"]  # penalties 0, 0.2, 0.5, 1
UNLIKELY = {
    3: 16.3,
    5: 20.5,
    9: 27.9,
}  # a statistic that is exceeded once in a thousand, by degrees of freedom


def draws(config: RocConfig, take: int, count: int = 4000) -> Counter:
    """Which successes are kept of four with different penalties, where ``take`` are."""
    right = [rollout(reward=1.0, calls=calls, id=str(i)) for i, calls in enumerate(CALLS)]
    wrong = [rollout(reward=0.0, id=f"w{i}") for i in range(4)]
    rng = random.Random(11)
    return Counter(
        tuple(sorted(r.id for r in select(right + wrong, 2 * take, rng, config) if r.reward))
        for _ in range(count)
    )


@pytest.mark.parametrize("epsilon", [0.05, 0.1, 1.0])
def test_inverse_draws_the_first_with_probability_1_over_penalty_plus_epsilon(epsilon: float) -> None:
    weights = [1 / (penalty + epsilon) for penalty in (0, 0.2, 0.5, 1)]
    expected = {(str(i),): weight / sum(weights) for i, weight in enumerate(weights)}
    assert chi_square(draws(RocConfig(epsilon=epsilon), take=1), expected) < UNLIKELY[3]


@pytest.mark.parametrize("epsilon", [0.1, 1.0])
def test_inverse_draws_without_replacement_in_proportion_to_the_weights_left(epsilon: float) -> None:
    weights = [1 / (penalty + epsilon) for penalty in (0, 0.2, 0.5, 1)]
    total = sum(weights)
    expected = {
        (str(i), str(j)): sum(
            weights[first] / total * weights[second] / (total - weights[first])
            for first, second in ((i, j), (j, i))
        )
        for i, j in itertools.combinations(range(4), 2)
    }
    assert chi_square(draws(RocConfig(epsilon=epsilon), take=2), expected) < UNLIKELY[5]


def test_uniform_draws_every_pair_of_successes_alike() -> None:
    expected = {(str(i), str(j)): 1 / 6 for i, j in itertools.combinations(range(4), 2)}
    assert chi_square(draws(RocConfig(method="uniform"), take=2), expected) < UNLIKELY[5]
    assert chi_square(draws(RocConfig(), take=2), expected) > 10 * UNLIKELY[5]  # the test can tell


@pytest.mark.parametrize("method", ["inverse", "lowest", "uniform"])
def test_failures_are_drawn_uniformly_whatever_their_penalties(method: Any) -> None:
    right = [rollout(reward=1.0, id=f"r{i}") for i in range(5)]
    wrong = [rollout(reward=0.0, calls=calls, id=str(i)) for i, calls in enumerate([*CALLS, ""])]
    rng = random.Random(12)
    config = RocConfig(method=method)
    drawn = Counter(
        tuple(sorted(r.id for r in select(right + wrong, 4, rng, config) if not r.reward))
        for _ in range(4000)
    )
    expected = {(str(i), str(j)): 1 / 10 for i, j in itertools.combinations(range(5), 2)}
    assert chi_square(drawn, expected) < UNLIKELY[9]


@pytest.mark.parametrize(
    ("rewards", "reason"),
    [
        ([1.0, 1.0, 1.0], Rejection.ALL_RIGHT),
        ([0.0, 0.0, None, 0.0], Rejection.ALL_WRONG),
        ([1.0, 0.0, None], Rejection.UNSCORED),
        ([1.0, 0.0, 0.0], None),
        ([0.5, 0.5, 0.5], Rejection.ALL_RIGHT),
        ([0.5, 1.0, 1.0], None),
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


def test_lowest_always_takes_the_cleanest() -> None:
    right = [rollout(reward=1.0, calls="." * (8 - i) + "x" * i, id=f"r{i}") for i in range(8)]
    wrong = [rollout(reward=0.0, id=f"w{i}") for i in range(8)]
    rng = random.Random(3)
    lowest = select(right + wrong, 8, rng, RocConfig(method="lowest"))
    assert {r.id for r in lowest if r.reward} == {"r0", "r1", "r2", "r3"}


def test_advantages_are_the_groups_standard_scores_with_the_sample_deviation() -> None:
    assert advantages([1.0, 0.0, 0.0, 0.0], 0.0) == pytest.approx([1.5, -0.5, -0.5, -0.5])
    assert advantages([1.0, 1.0], 1e-4) == [0.0, 0.0]
    assert advantages([1.0, 0.0, 0.0, 0.0], 0.0, scaled=False) == [0.75, -0.25, -0.25, -0.25]


def test_floors_that_are_more_than_what_is_kept_are_refused() -> None:
    GrpoConfig(keep=6, roc=RocConfig(least_right=3, least_wrong=3))
    with pytest.raises(
        ValueError, match=r"`roc.least_right` and `roc.least_wrong` together are more than `keep`"
    ):
        GrpoConfig(keep=6, roc=RocConfig(least_right=3, least_wrong=4))
