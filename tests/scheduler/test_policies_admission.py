from collections.abc import Callable

import pytest

from headway.engine import EngineStats
from headway.errors import InputError
from headway.scheduler.dispatcher import Dispatch, Dispatcher, Hold, Park
from headway.scheduler.ledger import Capacity
from headway.scheduler.policies.aimd import Aimd
from headway.scheduler.policies.progress_factors import WINDOW, Factors, Load, Turn, miss_seconds
from headway.scheduler.policies.progress_ttl import ProgressTtl
from headway.scheduler.policies.thunder import Thunder, ThunderEvents
from headway.scheduler.policy import ParkReason, Policy, Reason


class Fleet:
    """A dispatcher with a clock that is set by hand."""

    def __init__(self, policy: Policy, tokens: int = 1600, engines: str = "a") -> None:
        self.now = 0.0
        clock: Callable[[], float] = lambda: self.now  # noqa: E731
        self.core = Dispatcher({engine: Capacity(tokens, 16) for engine in engines}, policy, clock=clock)

    def ready(self, id: str, context: int, limit: int = 32):
        return self.core.turn_ready(id, group=id, prompt=0, context=context, turn_limit=limit)

    def turn(self, id: str, context: int, grown: int):
        assert any(isinstance(d, Dispatch) and d.trajectory == id for d in self.ready(id, context))
        return self.core.turn_ended(id, context=grown)

    def at(self, now: float):
        self.now = now
        return self.core.wake()


def test_aimd_starts_at_what_surely_fits() -> None:
    fleet = Fleet(Aimd(longest=800))
    assert [type(fleet.ready(f"g{n}", 100)[0]) for n in range(3)] == [Dispatch, Dispatch, Hold]


def test_aimd_grows_while_engines_are_clear_and_trims_when_their_kv_is_nearly_used() -> None:
    policy = Aimd(longest=100)
    fleet = Fleet(policy)
    for number in range(16):
        fleet.ready(f"g{number}", 20)
    fleet.at(0.0)
    for number in range(16):
        fleet.core.ended(f"g{number}", failed=False)
        fleet.ready(f"h{number}", 20)
    grown = policy._limit(fleet.core.fleet)
    assert grown == 18  # 16 * 1.2 once over, had 16 been 0.9 of it to the end
    fleet.core.fleet.report("a", EngineStats(kv_usage=0.9, running=10))
    fleet.at(5.0)
    assert policy._limit(fleet.core.fleet) == int(16 * 0.7 / 0.9)


def test_aimd_cuts_on_preemptions_and_not_again_before_it_has_drained() -> None:
    policy = Aimd(longest=160)
    fleet = Fleet(policy)
    for number in range(10):
        fleet.ready(f"g{number}", 20)
    fleet.at(0.0)
    for poll in (1, 2):
        fleet.core.fleet.report("a", EngineStats(preemptions=poll))
        fleet.at(5.0 * poll)
        assert policy._limit(fleet.core.fleet) == 8


def test_thunder_lets_a_new_program_in_at_once_only_where_it_fits_with_its_growth() -> None:
    fleet = Fleet(Thunder(), tokens=1600)
    assert isinstance(fleet.ready("g1", 700)[0], Dispatch)
    assert isinstance(fleet.ready("g2", 700)[0], Dispatch)  # 2 * (700 + 100) is just what there is
    assert fleet.ready("g3", 16) == [Hold("g3", Reason.KV_FULL)]


def test_thunder_makes_what_would_fit_wait_for_the_tick() -> None:
    fleet = Fleet(Thunder(tick_s=5), tokens=1600)
    fleet.ready("g1", 1400)
    fleet.ready("g2", 700)
    assert fleet.core.wake_at() == 5.0
    assert not any(isinstance(d, Dispatch) for d in fleet.core.ended("g1", failed=False))
    assert not fleet.at(4.0)
    assert fleet.at(5.0) == [Dispatch("g2", "a", Reason.NEW)]


def test_thunder_at_every_event_does_not_wait() -> None:
    fleet = Fleet(ThunderEvents(), tokens=1600)
    fleet.ready("g1", 1400)
    fleet.ready("g2", 700)
    assert fleet.core.ended("g1", failed=False) == [Dispatch("g2", "a", Reason.NEW)]
    assert fleet.core.wake_at() is None


def test_thunder_resumes_returned_programs_before_new_ones_and_the_smallest_first() -> None:
    fleet = Fleet(Thunder(), tokens=1600)
    fleet.turn("old", 100, 900)
    assert fleet.core.wake_at() == 5.0
    fleet.turn("young", 100, 300)
    fleet.core.caches_dropped()  # both are paused
    fleet.ready("new", 50)
    fleet.ready("old", 910)
    fleet.ready("young", 310)
    order = [d.trajectory for d in fleet.at(5.0) if isinstance(d, Dispatch)]
    assert order == ["young", "old", "new"]


def test_thunder_pauses_the_smallest_in_a_tool_when_an_engine_is_charged_too_much() -> None:
    fleet = Fleet(Thunder(), tokens=1600)
    for id in ("g1", "g2", "g3"):
        fleet.turn(id, 100, 450 + 10 * int(id[1]))
    assert fleet.core.wake_at() == 5.0
    assert Park("g1", "a", ParkReason.TIMER) in fleet.at(5.0)


def test_thunder_marks_a_running_program_and_pauses_it_at_the_end_of_its_turn() -> None:
    fleet = Fleet(Thunder(), tokens=1600)
    for id in ("g1", "g2"):
        fleet.turn(id, 100, 740)
        fleet.ready(id, 745)
    fleet.core.wake_at()
    assert fleet.at(5.0) == []
    assert Park("g1", "a", ParkReason.FULL) in fleet.core.turn_ended("g1", context=750)


def test_progress_ttl_pauses_a_program_at_once_until_it_knows_the_tool_times() -> None:
    fleet = Fleet(ProgressTtl())
    assert Park("g1", "a", ParkReason.FULL) in fleet.turn("g1", 100, 150)


def test_progress_ttl_holds_short_tools_once_it_knows_them() -> None:
    factors = Factors()
    factors.tool_times.extend([0.5] * WINDOW)
    miss = miss_seconds(20_000)
    assert 0.5 <= factors.ttl(miss) <= miss
    factors.tool_times.extend([60.0] * WINDOW)
    assert factors.ttl(miss) == 0.0


def test_progress_ttl_reserves_the_growth_of_the_turns_to_come_once_it_knows_it() -> None:
    factors, load = Factors(), Load(capacity=10_000, used=5_000, active=2)
    assert factors.admits(load, needed=4_000, context=4_000, miss=1.0)
    for number in range(WINDOW):
        turn = Turn(prompt=1000, completion=100, growth=500, rounds=2, ended=float(number))
        factors.add(turn)
    assert factors.target_rounds == 4
    assert factors.growth == 500
    assert not factors.admits(load, needed=4_000, context=4_000, miss=1.0)  # 4000 + 4 * 500 is too much
    assert factors.admits(load, needed=3_000, context=3_000, miss=1.0)


def test_the_cost_of_a_miss_is_what_vllm_router_prints_for_its_reference() -> None:
    assert miss_seconds(50_000) / (2 - 0.15) == pytest.approx(13.93, abs=0.01)


def test_progress_ttl_lets_a_program_wait_that_does_not_fit_and_admits_it_by_a_deadline() -> None:
    fleet = Fleet(ProgressTtl(), tokens=1600)
    fleet.ready("g1", 1200)
    assert fleet.ready("g2", 500) == [Hold("g2", Reason.KV_FULL)]
    assert fleet.core.wake_at() == 300.0
    assert fleet.at(300.0) == [Dispatch("g2", "a", Reason.NEW)]


def test_options_that_make_no_sense_are_refused() -> None:
    for make in (lambda: Thunder(tick_s=-1), lambda: Aimd(poll_s=0)):
        with pytest.raises(InputError):
            make()


def test_aimd_asks_for_no_timer_when_every_engine_is_lost() -> None:
    now = 0.0
    core = Dispatcher({"a": Capacity(1600, 16)}, Aimd(), clock=lambda: now)
    core.turn_ready("t", group="t", prompt=64, context=64, turn_limit=16)
    core.turn_ended("t", context=80)
    core.engine_lost("a")
    assert core.live == 1
    assert core.wake_at() is None


def test_thunder_passes_over_a_paused_program_whose_last_limit_would_fit_no_engine() -> None:
    now = 0.0
    core = Dispatcher({"a": Capacity(1600, 16)}, Thunder(), clock=lambda: now)
    core.turn_ready("t", group="t", prompt=64, context=400, turn_limit=1200)
    core.turn_ended("t", context=800)
    core.caches_dropped()  # it is paused, with a limit that no longer fits
    now = core.wake_at()
    assert now == 5.0
    core.wake()
    assert core.live == 1
