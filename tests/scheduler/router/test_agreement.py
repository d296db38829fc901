from collections import Counter

import pytest

from headway.scheduler.policies.cache_aware import CacheAware
from headway.scheduler.policies.consistent_hash import ConsistentHash
from headway.scheduler.policies.round_robin import RoundRobin
from headway.scheduler.policies.sticky import StickyLeastLoaded
from tests.scheduler.router.agreement import ENGINES, Agreement, compare, find_router

TURNS = 300
WANTED = "vllm-router 0.1.17 is not installed; put it on the path, or name it with HEADWAY_VLLM_ROUTER"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_router() is None, reason=WANTED)]


def report(name: str, found: Agreement) -> None:
    print(
        f"\n{name}: {found.same} of {found.turns} turns to the same engine, {found.same_move} alike in moving"
    )


def run(name: str, make, *options: str) -> Agreement:
    program = find_router()
    assert program is not None
    found = compare(program, ["--policy", name, *options], make, turns=TURNS, seed=1)
    report(" ".join([name, *options]), found)
    return found


def test_round_robin_sends_every_turn_where_vllm_router_does() -> None:
    found = run("round_robin", RoundRobin)
    assert found.same == TURNS


def test_consistent_hash_keeps_every_trajectory_on_one_engine_as_vllm_router_does() -> None:
    found = run("consistent_hash", ConsistentHash)
    assert found.same_move == TURNS  # the hash is another one, and so are the engines


def test_sticky_least_loaded_spreads_and_keeps_trajectories_as_vllm_router_does() -> None:
    found = run("sticky_least_loaded", StickyLeastLoaded)
    assert found.same_move == TURNS
    for placements in (found.theirs, found.ours):
        sessions = Counter(engine for _, engine in dict(placements).items())
        assert len(sessions) == ENGINES
        assert max(sessions.values()) - min(sessions.values()) <= 1


def test_cache_aware_with_its_defaults_moves_trajectories_when_vllm_router_does() -> None:
    found = run("cache_aware", CacheAware)
    assert found.same_move == TURNS
    assert found.same >= 0.9 * TURNS  # of engines that have the same prefix, the router may take another


def test_cache_aware_with_narrow_thresholds_mostly_agrees_with_vllm_router() -> None:
    options = ["--balance-abs-threshold", "3", "--balance-rel-threshold", "1.2"]
    found = run(
        "cache_aware", lambda: CacheAware(balance_abs_threshold=3, balance_rel_threshold=1.2), *options
    )
    assert found.same_move >= 0.85 * TURNS  # one tie decided otherwise changes every load after it
