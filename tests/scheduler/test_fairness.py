"""Nobody pays for the order in which headroom admits: first tokens held against first come, first served."""

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from headway.engine.simulated import SimulatedEngine
from headway.profiles.closed_loop import play
from headway.profiles.hardware_profiles import load_hardware
from headway.profiles.suites import make_suite
from headway.profiles.virtual_time import run_virtual
from headway.profiles.workload import Script, ScriptedGroup, ScriptedTurn, Workload
from headway.scheduler import make_policy

HARDWARE = load_hardware("h100-14b")
IN_ORDER = "headroom:least_first=off,backfill=off"  # first come, first served
Vector = NDArray[np.float64]


def first_tokens(workload: Workload, *, engines: int, kv_tokens: int) -> list[Vector]:
    """Each trajectory's seconds to its first token under headroom, and in order of arrival."""

    def run(policy: str) -> Vector:
        fleet = [SimulatedEngine(HARDWARE, id=f"e{n}", kv_tokens=kv_tokens) for n in range(engines)]
        return np.array(run_virtual(play(workload, fleet, make_policy(policy))).first_token_s)

    return [run("headroom"), run(IN_ORDER)]


def programs(seed: int) -> Workload:
    """64 programs of their own, with prompts of 300 to 30,000 tokens in no order."""
    rng = random.Random(seed)

    def script() -> Script:
        turns = [
            ScriptedTurn(rng.randint(50, 400), rng.uniform(0.5, 5.0), rng.randint(50, 400)) for _ in range(5)
        ]
        return Script([*turns, ScriptedTurn(rng.randint(50, 400))])

    prompts = [round(300 * 100 ** (number / 63)) for number in range(64)]
    rng.shuffle(prompts)
    return Workload(
        name="programs",
        groups=[ScriptedGroup(prompt, [script()]) for prompt in prompts],
        max_context=36_000,
        turn_limit=1024,
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_prompts_wait_at_most_twice_as_long_as_in_order_of_arrival(seed: int) -> None:
    workload = programs(seed)
    is_large = np.array([group.prompt > 15_000 for group in workload.groups])
    assert is_large.sum() >= 8
    ours, in_order = first_tokens(workload, engines=1, kv_tokens=65_536)
    late, usual = (float(np.percentile(first[is_large], 99)) for first in (ours, in_order))
    assert late <= 2 * usual, f"p99 of the largest prompts: {late:.1f} s, and {usual:.1f} s in order"


@pytest.mark.parametrize("seed", range(3))
def test_at_high_pressure_hardly_anyone_waits_twice_as_long_as_in_order_of_arrival(seed: int) -> None:
    engines, kv_tokens = 2, HARDWARE.kv_tokens
    workload = make_suite(
        "math", seed=seed, hardware=HARDWARE, engines=engines, kv_tokens=kv_tokens, pressure=3.0
    )
    ours, in_order = first_tokens(workload, engines=engines, kv_tokens=kv_tokens)
    in_time = float(np.mean(ours <= 2 * in_order))
    worst = float(np.max(ours / in_order))
    assert in_time >= 0.99, f"{in_time:.2%} of {len(ours)} trajectories in time, the worst {worst:.2f}x"
