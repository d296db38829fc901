import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.engine import EngineStats
from headway.scheduler.engine_cost import ENOUGH, STEPS, EngineCost, pairs

PLANTED = (0.012, 6e-5, 9e-5, 4e-8, 2e-9)
Costs = tuple[float, float, float, float, float]


class Engine:
    """An engine whose steps take exactly what the planted costs say, and what it says of itself."""

    def __init__(self, costs: Costs, index: int = 0) -> None:
        self.costs = costs
        self.index = index
        self.now = 0.0
        self.stats = EngineStats()
        self.prefilled = 0.0

    def run(
        self, steps: int, *, turns: int, tokens: float, prefill: int, start: int = 0, noise: float = 1.0
    ) -> None:
        """Take steps; in one of them ``prefill`` tokens are computed, after ``start`` that were cached."""
        step, per_prefill, per_decode, per_read, per_pair = self.costs
        attended = pairs(start + prefill, start)
        self.prefilled += attended
        self.now += noise * (
            step * steps
            + per_prefill * prefill
            + per_pair * attended
            + steps * (per_decode * turns + per_read * tokens)
        )
        old = self.stats
        self.stats = EngineStats(
            steps=old.steps + steps,
            generated_tokens=old.generated_tokens + steps * turns,
            prompt_tokens=old.prompt_tokens + 3 * prefill,
            cached_tokens=old.cached_tokens + 2 * prefill,
        )


def learn(engine: Engine, known: EngineCost, rng: random.Random, *, reports: int, noise: float = 0.0) -> None:
    """Let the engine run, and report whenever a turn ends."""
    turns, tokens = 0, 0.0
    for _ in range(reports):
        if turns:
            engine.run(
                rng.randint(1, 40),
                turns=turns,
                tokens=tokens,
                prefill=rng.choice([0, 0, rng.randint(0, 8000)]),
                start=rng.choice([0, rng.randint(0, 60_000)]),
                noise=1 + rng.uniform(-noise, noise),
            )
        turns = rng.randint(1, 200)
        tokens = turns * rng.uniform(200, 4000)
        known.observe(
            engine.index, engine.now, engine.stats, turns=turns, tokens=tokens, prefilled=engine.prefilled
        )


def costs(known: EngineCost) -> Costs:
    return known.step, known.prefill, known.decode, known.read, known.attention


def test_until_enough_was_seen_the_figures_are_the_round_ones() -> None:
    known = EngineCost(1)
    before = costs(known)
    learn(Engine(PLANTED), known, random.Random(0), reports=ENOUGH // 2)
    assert known.windows < ENOUGH
    assert costs(known) == before


@pytest.mark.parametrize("planted", [PLANTED, (0.1, 2e-3, 1e-3, 1e-6, 3e-7), (5e-3, 1e-5, 2e-5, 1e-8, 5e-10)])
def test_costs_that_were_planted_are_found_within_a_few_percent(
    planted: Costs,
) -> None:
    known = EngineCost(1)
    learn(Engine(planted), known, random.Random(1), reports=2000)
    assert costs(known) == pytest.approx(planted, rel=0.03)


def test_costs_are_found_through_noise_and_over_several_engines() -> None:
    known = EngineCost(4)
    for index in range(4):
        learn(Engine(PLANTED, index), known, random.Random(index), reports=2000, noise=0.05)
    assert costs(known) == pytest.approx(PLANTED, rel=0.1)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_no_cost_is_ever_negative_whatever_is_reported(seed: int) -> None:
    rng = random.Random(seed)
    known = EngineCost(1)
    stats, now = EngineStats(), 0.0
    for _ in range(400):
        now += rng.choice([0.0, rng.expovariate(1.0), rng.expovariate(0.01)])
        stats = EngineStats(
            steps=stats.steps + rng.randint(0, 50),
            generated_tokens=stats.generated_tokens + rng.randint(0, 5000),
            prompt_tokens=stats.prompt_tokens + rng.randint(0, 5000),
            cached_tokens=stats.cached_tokens + rng.randint(0, 5000),
        )
        known.observe(0, now, stats, turns=rng.randint(0, 3), tokens=rng.uniform(0, 1e5))
        assert min(costs(known)) > 0
        assert 0 < known.idle_share(rng.uniform(0, 300), rng.uniform(0, 1e6)) <= 1


def test_time_in_which_nothing_ran_does_not_count() -> None:
    busy, idle = EngineCost(1), EngineCost(1)
    for known, gap in ((busy, 0.0), (idle, 1000.0)):
        engine, rng = Engine(PLANTED), random.Random(3)
        for _ in range(200):
            learn(engine, known, rng, reports=8)
            known.observe(0, engine.now, engine.stats, turns=0, tokens=0, prefilled=engine.prefilled)
            engine.now += gap
    assert idle.windows == busy.windows >= ENOUGH
    assert costs(idle) == pytest.approx(costs(busy), rel=1e-6)
    assert costs(idle) == pytest.approx(PLANTED, rel=0.03)


def test_a_window_is_at_least_so_many_steps() -> None:
    known = EngineCost(1)
    engine = Engine(PLANTED)
    known.observe(0, 0.0, engine.stats, turns=4, tokens=1000)
    for _ in range(STEPS - 1):
        engine.run(1, turns=4, tokens=1000, prefill=0)
        known.observe(0, engine.now, engine.stats, turns=4, tokens=1000)
    assert known.windows == 0
    engine.run(1, turns=4, tokens=1000, prefill=0)
    known.observe(0, engine.now, engine.stats, turns=4, tokens=1000)
    assert known.windows == 1


def test_one_more_turn_is_worth_less_the_fuller_the_batch() -> None:
    known = EngineCost(1)
    shares = [known.idle_share(turns, turns * 1000) for turns in (0, 10, 100, 1000)]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)


def test_the_seconds_of_a_prefill_are_those_of_its_tokens_and_of_what_each_attends_to() -> None:
    known = EngineCost(1)
    known.prefill, known.attention = 1e-4, 1e-8
    assert known.prefill_s(1000) == pytest.approx(0.1 + 1e-8 * 500_000)
