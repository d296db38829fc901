import pytest

from headway.errors import InputError
from headway.scheduler.dispatcher import Dispatch, Dispatcher, Hold
from headway.scheduler.ledger import Capacity
from headway.scheduler.policies.cache_aware import CacheAware
from headway.scheduler.policies.capped import Capped
from headway.scheduler.policies.consistent_hash import ConsistentHash
from headway.scheduler.policies.least_inflight import LeastInflight
from headway.scheduler.policies.lmetric import LMetric
from headway.scheduler.policies.round_robin import RoundRobin
from headway.scheduler.policies.static import Static, StaticBarrier
from headway.scheduler.policies.sticky import StickyLeastLoaded
from headway.scheduler.policies.sticky_margin import StickyMargin
from headway.scheduler.policy import Policy, Reason


def core_of(policy: Policy, *engines: str, tokens: int = 4096) -> Dispatcher:
    return Dispatcher({engine: Capacity(tokens, 16) for engine in engines or ("a", "b")}, policy)


def ready(core: Dispatcher, id: str, context: int = 100, prompt: int = 64):
    return core.turn_ready(id, group=id.split(".")[0], prompt=prompt, context=context, turn_limit=32)


def engine_of(core: Dispatcher, id: str, context: int = 100, prompt: int = 64) -> str:
    (engine,) = [d.engine for d in ready(core, id, context, prompt) if isinstance(d, Dispatch)]
    return engine


def whole_turn(core: Dispatcher, id: str, context: int = 100) -> str:
    engine = engine_of(core, id, context)
    core.turn_ended(id, context=context + 10)
    return engine


def test_round_robin_sends_each_turn_to_the_next_engine() -> None:
    core = core_of(RoundRobin(), "a", "b", "c")
    assert [whole_turn(core, "g.0", 100 + 10 * n) for n in range(4)] == ["a", "b", "c", "a"]


def test_least_inflight_sends_a_turn_away_from_a_busy_home() -> None:
    core = core_of(LeastInflight())
    home = whole_turn(core, "g.0")
    assert [engine_of(core, "h.0"), engine_of(core, "h.1")] == ["ab".replace(home, ""), home]
    core.turn_ended("h.0", context=110)
    assert Dispatch("g.0", "ab".replace(home, ""), Reason.MOVED) in ready(core, "g.0", 120)


def test_consistent_hash_keeps_a_trajectory_on_its_engine_however_busy_it_is() -> None:
    core = core_of(ConsistentHash(), "a", "b", "c")
    home = whole_turn(core, "g.0")
    for number in range(30):
        ready(core, f"h.{number}")
    assert engine_of(core, "g.0", 120) == home


def test_consistent_hash_moves_only_what_was_on_a_lost_engine() -> None:
    before, after = core_of(ConsistentHash(), "a", "b", "c"), core_of(ConsistentHash(), "a", "b", "c")
    after.engine_lost("b")
    for number in range(40):
        was = engine_of(before, f"g{number}.0")
        assert engine_of(after, f"g{number}.0") == was or was == "b"


def test_sticky_least_loaded_spreads_new_trajectories_and_sends_later_turns_home() -> None:
    core = core_of(StickyLeastLoaded())
    first = [whole_turn(core, f"g{n}.0") for n in range(6)]
    assert sorted(first) == ["a"] * 3 + ["b"] * 3
    assert [whole_turn(core, f"g{n}.0", 120) for n in range(6)] == first


def test_capped_lets_a_trajectory_wait_until_another_is_over() -> None:
    core = core_of(Capped(limit=1))
    assert {whole_turn(core, "g1.0"), whole_turn(core, "g2.0")} == {"a", "b"}
    assert ready(core, "g3.0") == [Hold("g3.0", Reason.CAP)]  # those in tools count too
    assert isinstance(ready(core, "g1.0", 120)[0], Dispatch)
    (placed,) = core.ended("g2.0", failed=False)
    assert placed == Dispatch("g3.0", placed.engine, Reason.NEW)


def test_a_cap_that_lets_nothing_run_is_refused() -> None:
    with pytest.raises(InputError, match="limit=0"):
        Capped(limit=0)


def test_sticky_margin_stays_home_up_to_the_margin_and_moves_beyond_it() -> None:
    for extra, reason in ((2, Reason.WARM), (3, Reason.MOVED)):
        core = core_of(StickyMargin(margin=2))
        homes: dict[str, list[str]] = {"a": [], "b": []}
        for number in range(8):
            homes[whole_turn(core, f"g{number}.0")].append(f"g{number}.0")
        for id in homes["a"][:extra]:
            ready(core, id, 120)
        (placed,) = [d for d in ready(core, homes["a"][3], 120) if isinstance(d, Dispatch)]
        assert placed.reason is reason


def test_cache_aware_sends_siblings_where_their_prompt_went() -> None:
    core = core_of(CacheAware())
    home = engine_of(core, "g.0", 100, prompt=64)
    assert engine_of(core, "g.1", 100, prompt=64) == home
    assert engine_of(core, "h.0", 100, prompt=64) != home  # nothing matches: the fewest turns


def test_cache_aware_takes_the_fewest_turns_where_little_of_the_context_matches() -> None:
    core = core_of(CacheAware())
    home = engine_of(core, "g.0", 100, prompt=16)
    assert engine_of(core, "g.1", 100, prompt=16) != home


def test_cache_aware_leaves_a_prefix_when_both_thresholds_of_balance_are_passed() -> None:
    core = core_of(CacheAware(balance_abs_threshold=2, balance_rel_threshold=1.5))
    assert [engine_of(core, f"g.{n}") for n in range(4)] == ["a", "a", "a", "b"]


def test_lmetric_trades_cached_tokens_for_a_smaller_batch() -> None:
    core = core_of(LMetric())
    home = whole_turn(core, "g.0", 1000)
    assert engine_of(core, "g.0", 1100) == home  # ten times less to prefill there
    for number in range(60):
        ready(core, f"h{number}.0", 16, prompt=0)
    busier = max("ab", key=core.fleet.running)
    assert core.fleet.running(busier) - min(map(core.fleet.running, "ab")) <= 3


def test_static_binds_trajectories_evenly_and_for_good() -> None:
    core = core_of(Static())
    first = [whole_turn(core, f"g{n}.0") for n in range(4)]
    assert first == ["a", "b", "a", "b"]
    assert [whole_turn(core, f"g{n}.0", 120) for n in range(4)] == first


def test_static_with_a_barrier_starts_a_turn_when_the_last_has_come_back() -> None:
    core = core_of(StaticBarrier())
    for id in ("g1.0", "g2.0", "g3.0"):
        assert isinstance(ready(core, id)[0], Dispatch)  # the first turns need not wait
    core.turn_ended("g1.0", context=110)
    assert Hold("g1.0", Reason.BARRIER) in ready(core, "g1.0", 120)
    core.turn_ended("g2.0", context=110)
    core.turn_ended("g3.0", context=110)
    assert Hold("g2.0", Reason.BARRIER) in ready(core, "g2.0", 120)
    started = {d.trajectory for d in ready(core, "g3.0", 120) if isinstance(d, Dispatch)}
    assert started == {"g1.0", "g2.0", "g3.0"}


def test_static_with_a_barrier_goes_on_when_the_last_one_out_is_over() -> None:
    core = core_of(StaticBarrier())
    ready(core, "g1.0")
    ready(core, "g2.0")
    core.turn_ended("g1.0", context=110)
    ready(core, "g1.0", 120)
    core.turn_ended("g2.0", context=110)
    (placed,) = core.ended("g2.0", failed=False)
    assert placed == Dispatch("g1.0", placed.engine, Reason.RETURNED)


def test_a_router_sends_no_turn_to_an_engine_that_cannot_hold_it() -> None:
    for make in (
        RoundRobin,
        LeastInflight,
        ConsistentHash,
        StickyLeastLoaded,
        StickyMargin,
        CacheAware,
        LMetric,
    ):
        core = Dispatcher({"small": Capacity(64, 16), "large": Capacity(4096, 16)}, make())
        assert {engine_of(core, f"g{n}.0") for n in range(4)} == {"large"}
