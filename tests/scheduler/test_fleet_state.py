import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.engine import EngineStats
from headway.scheduler.dispatcher import Dispatcher
from headway.scheduler.fleet_state import FleetState
from headway.scheduler.ledger import Capacity
from headway.scheduler.policies import NAMES, make_policy

TOKENS = 1600


def a_core(engines: int = 1) -> tuple[Dispatcher, FleetState]:
    core = Dispatcher({f"e{i}": Capacity(TOKENS, 16) for i in range(engines)}, make_policy("static"))
    return core, core.fleet


def ready(core: Dispatcher, id: str, context: int = 160) -> None:
    core.turn_ready(id, group=id.split(".")[0], prompt=160, context=context, turn_limit=64)


def usage(tokens: float) -> EngineStats:
    """What an engine says whose running turns take up so many tokens."""
    return EngineStats(steps=1, running=1, kv_usage=tokens / TOKENS)


def test_running_turns_and_their_contexts_are_counted_by_engine() -> None:
    core, fleet = a_core(2)
    for number in range(3):
        ready(core, f"g{number}.0", 160 + number)
    assert fleet.turns.tolist() == [2, 1]
    assert fleet.running_tokens.tolist() == [160 + 162, 161]
    assert [fleet.running(engine) for engine in fleet.engines] == [2, 1]
    assert [fleet.counted(engine) for engine in fleet.engines] == [2, 1]


def test_a_trajectory_in_a_tool_is_counted_and_does_not_run() -> None:
    core, fleet = a_core()
    ready(core, "g1.0")
    ready(core, "g1.1")
    core.turn_ended("g1.0", context=200)
    assert (fleet.running("e0"), fleet.counted("e0")) == (1, 2)
    assert [t.id for t in fleet.in_tools("e0")] == ["g1.0"]
    assert [t.id for t in fleet.held("e0")] == ["g1.0", "g1.1"]
    assert fleet.held_tokens.tolist() == [40]  # what its sibling does not have as well
    ready(core, "g1.0", 210)
    assert fleet.held_tokens.tolist() == [0]
    assert fleet.in_tools("e0") == []


def test_in_tools_lists_the_longest_there_first() -> None:
    core, fleet = a_core()
    for id in ("g1.0", "g1.1", "g1.2"):
        ready(core, id)
    for id in ("g1.2", "g1.0", "g1.1"):
        core.turn_ended(id, context=170)
    assert [t.id for t in fleet.in_tools("e0")] == ["g1.2", "g1.0", "g1.1"]


def test_what_running_turns_have_written_is_what_the_engine_uses_beyond_what_is_counted() -> None:
    core, fleet = a_core()
    for id in ("g1.0", "g1.1", "g1.2"):
        ready(core, id)
    core.turn_ended("g1.0", context=224, stats=usage(160 + 48 + 80))
    assert fleet.ledger.tokens.tolist() == [160 + 64]
    assert fleet.written.tolist() == [pytest.approx(48 + 80)]
    core.turn_ended("g1.1", context=208, stats=usage(160 + 96))
    assert fleet.ledger.tokens.tolist() == [160 + 64 + 48]
    assert fleet.written.tolist() == [pytest.approx(96)]


def test_an_engine_that_says_less_than_is_counted_has_written_nothing() -> None:
    core, fleet = a_core()
    ready(core, "g1.0")
    ready(core, "g1.1")
    core.turn_ended("g1.0", context=224, stats=usage(0))
    assert fleet.written.tolist() == [0]


def test_when_nothing_runs_nothing_counts_as_being_written() -> None:
    core, fleet = a_core()
    ready(core, "g1.0")
    ready(core, "g1.1")
    core.turn_ended("g1.0", context=224, stats=usage(160 + 80))
    assert fleet.written.tolist() == [pytest.approx(80)]
    core.turn_abandoned("g1.1")
    assert fleet.written.tolist() == [0]


def test_the_reserve_for_a_turn_shrinks_by_what_was_observed_and_goes_with_its_trajectory() -> None:
    core, fleet = a_core()
    ready(core, "g1.0")
    expected = fleet.growth[0]
    assert expected == pytest.approx(32)  # half of its limit
    core.turn_ended("g1.0", context=170)
    before = fleet.growth[0]
    ready(core, "g1.0", 178)
    assert fleet.growth[0] == pytest.approx(before - 8)
    core.ended("g1.0", failed=False)
    assert fleet.growth.tolist() == fleet.variances.tolist() == [0]


def test_a_lost_engine_has_no_capacity_and_no_turns() -> None:
    core, fleet = a_core(2)
    ready(core, "g1.0")
    ready(core, "g2.0")
    core.engine_lost("e0")
    assert fleet.engines == ["e1"]
    assert fleet.ids == ["e0", "e1"]
    assert not fleet.is_alive("e0")
    assert fleet.capacities.tolist() == [0, TOKENS]
    assert fleet.turns.tolist() == [0, 1]
    assert fleet.running_tokens.tolist() == [0, 160]


def test_the_engine_that_got_a_new_trajectory_the_longest_ago_comes_first() -> None:
    core, fleet = a_core(3)
    assert fleet.by_recency() == ["e0", "e1", "e2"]
    ready(core, "g1.0")
    assert fleet.by_recency() == ["e1", "e2", "e0"]
    core.turn_ended("g1.0", context=200)
    ready(core, "g2.0")
    ready(core, "g1.0", 210)  # a warm turn is not a new trajectory
    assert fleet.by_recency() == ["e2", "e0", "e1"]


def test_the_time_of_a_cycle_follows_what_turns_take() -> None:
    now = 0.0
    core = Dispatcher({"e0": Capacity(TOKENS, 16)}, make_policy("static"), clock=lambda: now)
    for _ in range(500):
        ready(core, "g1.0")
        now += 2.0
        core.turn_ended("g1.0", context=160)
        now += 1.0
    assert core.fleet.cycle_s == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize("policy", NAMES)
@settings(max_examples=15, deadline=None)
@given(moves=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40), st.booleans()), max_size=80))
def test_when_all_is_over_every_array_is_zero_again(policy: str, moves: list[tuple[int, int, bool]]) -> None:
    core = Dispatcher({f"e{i}": Capacity(TOKENS, 16) for i in range(3)}, make_policy(policy))
    fleet = core.fleet
    context = dict.fromkeys((f"g{n // 3}.{n}" for n in range(10)), 160)
    for number, more, is_given_up in moves:
        id = f"g{number // 3}.{number}"
        known = fleet.trajectories.get(id)
        if known is None or not (known.state == "running" or known in fleet.waiting):
            ready(core, id, context[id])
        elif is_given_up or known in fleet.waiting:
            core.turn_abandoned(id)
        else:
            context[id] += more
            stats = usage(fleet.running_tokens[fleet.index(known.home or "")] + more)
            core.turn_ended(id, context=context[id], stats=stats)
    for id in context:
        core.ended(id, failed=False)
    arrays = ("turns", "running_tokens", "growth", "variances", "held_tokens")
    assert {name: getattr(fleet, name).tolist() for name in arrays} == {name: [0, 0, 0] for name in arrays}
    assert fleet.ledger.tokens.tolist() == fleet.ledger.counted.tolist() == [0, 0, 0]
    assert fleet.live == len(fleet.waiting) == 0
