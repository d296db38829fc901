"""The default policy: a small scenario for each of its mechanisms, with its switch on and off."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InputError
from headway.scheduler.dispatcher import Decision, Dispatch, Dispatcher, Hold, Park, Refuse
from headway.scheduler.engine_cost import ENOUGH
from headway.scheduler.fleet_state import FleetState
from headway.scheduler.ledger import Capacity
from headway.scheduler.policies import NAMES, Headroom, make_policy, option_names
from headway.scheduler.policies.headroom import LEAST, MARGIN, PATIENCE
from headway.scheduler.policy import ParkReason, Reason
from headway.scheduler.trajectory import State, Trajectory


class Core(Dispatcher):
    """A core whose clock is ``now``, and events of trajectories that share nothing with each other."""

    def __init__(self, policy: str, *capacities: int, is_known: bool = False) -> None:
        self.now = 0.0
        self.headroom = make_policy(policy)
        assert isinstance(self.headroom, Headroom)
        engines = {f"e{i}": Capacity(tokens, 16) for i, tokens in enumerate(capacities)}
        super().__init__(engines, self.headroom, clock=lambda: self.now)
        if is_known:
            self.fleet.costs.windows = ENOUGH

    def ready(self, id: str, context: int, *, prompt: int | None = None, limit: int = 16) -> list[Decision]:
        """The trajectory wants its next turn; its first context is its prompt if not said otherwise."""
        prompt = context if prompt is None else prompt
        return self.turn_ready(id, group=id, prompt=prompt, context=context, turn_limit=limit)

    def rest(self, id: str, context: int, *, then: int | None = None) -> None:
        """Place a trajectory at once, and let its turn end."""
        (placed,) = self.ready(id, context)
        assert isinstance(placed, Dispatch)
        self.turn_ended(id, context=then or context)


def dispatched(decisions: list[Decision]) -> list[str]:
    return [decision.trajectory for decision in decisions if isinstance(decision, Dispatch)]


def parked(decisions: list[Decision]) -> list[str]:
    return [decision.trajectory for decision in decisions if isinstance(decision, Park)]


@pytest.mark.parametrize(("policy", "second"), [("headroom", False), ("headroom:reserve=off", True)])
def test_room_is_reserved_for_what_a_turn_will_probably_write(policy: str, second: bool) -> None:
    core = Core(policy, 1600)
    assert dispatched(core.ready("a", 160, limit=1000)) == ["a"]
    assert bool(dispatched(core.ready("b", 160, limit=1000))) is second


@pytest.mark.parametrize(("z", "second"), [(0.0, True), (3.0, False)])
def test_more_deviations_reserve_more(z: float, second: bool) -> None:
    core = Core(f"headroom:z={z}", 1600)
    core.ready("a", 160, limit=1000)
    assert bool(dispatched(core.ready("b", 160, limit=1000))) is second


def kept_after(
    policy: str, calm: int, preemptions: int, *, prefill: float = 1e-9, is_known: bool = True
) -> tuple[float, float]:
    """The share of the reserve that is kept after calm turns, and after one with preemptions on top."""
    core = Core(policy, 1 << 20, is_known=is_known)
    core.fleet.costs.prefill, core.fleet.costs.attention = prefill, 0.0
    for number in range(100):
        core.rest(f"t{number}", 64)

    def turn(preemptions: int) -> float:
        core.ready("t0", 64)
        core.turn_ended("t0", context=64, preemptions=preemptions)
        return float(core.headroom.kept(core.fleet)[0])

    lowered = [turn(0) for _ in range(calm)][-1]
    return lowered, turn(preemptions)


def test_all_of_the_reserve_is_kept_until_the_speed_of_engines_is_known() -> None:
    assert kept_after("headroom", calm=10, preemptions=0, is_known=False) == (1, 1)


def test_the_reserve_is_kept_until_each_trajectory_of_the_engine_has_had_a_turn() -> None:
    core = Core("headroom", 1 << 20, is_known=True)
    core.fleet.costs.prefill, core.fleet.costs.attention = 1e-9, 0.0
    for number in range(100):
        core.ready(f"t{number}", 64)
    kept = []
    for number in range(100):
        core.turn_ended(f"t{number}", context=64)
        kept.append(float(core.headroom.kept(core.fleet)[0]))
    assert kept == sorted(kept, reverse=True)
    assert (kept[0], kept[49], kept[-1]) == pytest.approx((0.99, 0.5, LEAST), abs=1e-3)


def test_more_of_the_reserve_is_kept_where_prefill_costs_more() -> None:
    kept = [kept_after("headroom", calm=1, preemptions=0, prefill=p)[0] for p in (1e-9, 5e-4, 1e-3, 1.0)]
    assert kept == sorted(kept)
    assert kept[0] == LEAST < kept[1] < kept[2] <= kept[3] == 1


def test_preemptions_raise_the_reserve_and_calm_lowers_it_again_within_bounds() -> None:
    lowered, raised = kept_after("headroom", calm=200, preemptions=10)
    assert lowered == pytest.approx(LEAST)
    assert lowered < raised < 1
    assert kept_after("headroom", calm=200, preemptions=1000)[1] == 1


def test_without_adapting_all_of_the_reserve_is_kept() -> None:
    assert kept_after("headroom:adapt=off", calm=200, preemptions=3) == (1, 1)


def test_without_a_reserve_there_is_none_to_adapt() -> None:
    assert kept_after("headroom:reserve=off", calm=200, preemptions=1000) == (0, 0)


def held_beside_one_that_waits(policy: str) -> Core:
    """``a`` is in a tool since 1 s, ``b`` runs beside it, and ``c`` does not fit."""
    core = Core(policy, 1600, is_known=True)
    core.fleet.costs.prefill, core.fleet.costs.attention = 0.01, 1e-5
    core.ready("a", 600)
    core.now = 1.0
    core.turn_ended("a", context=600)
    core.ready("b", 600)
    core.now = 2.0
    assert core.wake_at() is None  # nobody waits
    assert core.ready("c", 600) == [Hold("c", Reason.KV_FULL)]
    return core


def test_while_a_turn_waits_a_hold_ends_when_it_does_not_pay_any_more() -> None:
    core = held_beside_one_that_waits("headroom:reserve=off")
    expiry = core.wake_at()
    assert expiry is not None
    prefill_s = 600 * 0.01 + 600**2 / 2 * 1e-5
    assert expiry == pytest.approx(1.0 + prefill_s * 1600 / 600)  # its prefill, for its share of the cache
    core.now = expiry - 1e-3
    assert core.wake() == []
    core.now = expiry
    assert core.wake() == [Park("a", "e0", ParkReason.TIMER), Dispatch("c", "e0", Reason.NEW)]
    assert core.wake_at() is None


def test_a_hold_that_ended_in_time_wakes_nobody() -> None:
    core = held_beside_one_that_waits("headroom:reserve=off")
    assert core.ready("a", 600)[0] == Dispatch("a", "e0", Reason.WARM)
    assert core.wake_at() is None


def test_when_nobody_waits_a_trajectory_is_held_for_ever() -> None:
    core = held_beside_one_that_waits("headroom:reserve=off")
    core.ended("c", failed=True)
    assert core.wake_at() is None
    core.now = 1e6
    assert core.wake() == []


def test_without_the_switch_holds_do_not_end() -> None:
    assert held_beside_one_that_waits("headroom:reserve=off,hold=off").wake_at() is None


def test_until_the_engines_speed_is_known_holds_do_not_end() -> None:
    core = Core("headroom:reserve=off", 1600)
    core.rest("a", 600)
    core.ready("b", 600)
    core.ready("c", 600)
    assert core.wake_at() is None


def with_a_head_that_waits(policy: str) -> Core:
    """Two engines, 700 tokens of budget left on one and 300 on the other; the head needs 1,000."""
    core = Core(policy, 1600, 1600)
    assert dispatched(core.ready("a", 768)) == ["a"]
    assert dispatched(core.ready("b", 1168)) == ["b"]
    assert core.ready("head", 992) == [Hold("head", Reason.KV_FULL)]
    return core


def test_those_behind_a_head_that_does_not_fit_go_to_engines_not_saved_for_it() -> None:
    core = with_a_head_that_waits("headroom:reserve=off")
    roomy = core.fleet.trajectories["a"].home
    small = core.ready("small", 160)
    assert [d.engine for d in small if isinstance(d, Dispatch)] == [core.fleet.trajectories["b"].home]
    assert dispatched(core.ready("larger", 480)) == []  # would fit the one that is saved only
    freed = core.ended("a", failed=False)
    assert freed[0] == Dispatch("head", roomy or "", Reason.NEW)


def test_without_backfill_all_wait_behind_the_head() -> None:
    core = with_a_head_that_waits("headroom:reserve=off,backfill=off")
    assert dispatched(core.ready("small", 160)) == []


def test_of_unlike_engines_the_one_saved_for_the_head_is_one_that_can_hold_it() -> None:
    core = Core("headroom:reserve=off", 3200, 6400)
    assert core.ready("a", 4400) == [Dispatch("a", "e1", Reason.NEW)]
    assert core.ready("head", 4000) == [Hold("head", Reason.KV_FULL)]
    placed = [decision for n in range(9) for decision in core.ready(f"c{n}", 400)]
    assert {d.engine for d in placed if isinstance(d, Dispatch)} == {"e0"}
    assert core.ended("a", failed=False)[0] == Dispatch("head", "e1", Reason.NEW)


def unbalanced(policy: str, *, running: int, prefill: float = 1e-6) -> tuple[Core, list[Decision]]:
    """What becomes of a warm turn on an engine where so many run, when nothing runs on the other one."""
    core = Core(policy, 32_768, 32_768)
    core.fleet.costs.prefill, core.fleet.costs.attention = prefill, 0.0
    for number in range(2 * running + 2):
        core.rest(f"t{number}", 400, then=500)  # they write 100 tokens
    one, *others = core.fleet.held("e0")
    assert len(others) == running
    for trajectory in core.fleet.held("e1"):
        core.ended(trajectory.id, failed=False)
    core.headroom.migrate, migrates = False, core.headroom.migrate
    for trajectory in others:
        assert core.ready(trajectory.id, 510) == [Dispatch(trajectory.id, "e0", Reason.WARM)]
    core.headroom.migrate = migrates
    return core, core.ready(one.id, 510)


def test_a_warm_turn_moves_to_an_engine_with_many_fewer_turns() -> None:
    core, decisions = unbalanced("headroom", running=MARGIN + 1)
    assert decisions[:2] == [Park("t0", "e0", ParkReason.MOVED), Dispatch("t0", "e1", Reason.MOVED)]
    assert (core.fleet.counted("e0"), core.fleet.counted("e1")) == (MARGIN + 1, 1)
    assert core.fleet.trajectories["t0"].home == "e1"


@pytest.mark.parametrize(
    ("policy", "running", "prefill"),
    [("headroom", MARGIN, 1e-6), ("headroom", MARGIN + 1, 1e-3), ("headroom:migrate=off", MARGIN + 1, 1e-6)],
)
def test_a_warm_turn_stays_where_it_gains_too_little_or_moves_are_off(
    policy: str, running: int, prefill: float
) -> None:
    assert unbalanced(policy, running=running, prefill=prefill)[1] == [Dispatch("t0", "e0", Reason.WARM)]


def order_of_two_that_wait(policy: str, apart_s: float) -> list[str]:
    """One with progress waits, and one without comes later; in which order do they go?"""
    core = Core(policy, 1600)
    core.ready("old", 160)
    core.turn_ended("old", context=400)
    core.caches_dropped()
    core.ready("full", 1400)
    core.ready("old", 400, prompt=160)
    core.now = apart_s
    core.ready("new", 160)
    return dispatched(core.ended("full", failed=False))


def test_least_progress_goes_first() -> None:
    assert order_of_two_that_wait("headroom:reserve=off", 1.0) == ["new", "old"]


def test_one_that_has_waited_long_goes_before_all_that_came_later() -> None:
    long_s = PATIENCE * FleetState({}, max_context=1).cycle_s
    assert order_of_two_that_wait("headroom:reserve=off", long_s + 1) == ["old", "new"]


def test_without_the_switch_returned_work_goes_first() -> None:
    assert order_of_two_that_wait("headroom:reserve=off,least_first=off", 1.0) == ["old", "new"]


@given(
    st.lists(st.tuples(st.floats(0, 500), st.floats(0.1, 100), st.integers(0, 4000)), min_size=2, max_size=60)
)
def test_patience_has_an_end_however_turns_times_change(waits: list[tuple[float, float, int]]) -> None:
    policy = make_policy("headroom")
    fleet = FleetState({"a": Capacity(1600, 16)}, max_context=4096)
    ranks: list[tuple[float, tuple[int, int]]] = []
    for passed, cycle_s, progress in waits:
        fleet.now += passed
        fleet.cycle_s = cycle_s
        trajectory = Trajectory(id="t", group="g", prompt=64, context=64 + progress, turn_limit=16)
        ranks.append((fleet.now, policy.rank(trajectory, fleet)))
    longest = PATIENCE * max(cycle_s for _, cycle_s, _ in waits)
    for number, (came, rank) in enumerate(ranks):
        for later, other in ranks[number:]:
            assert later - came <= longest or rank < other


def grown_beyond(policy: str) -> list[Decision]:
    """Three in tools, of 150, 100 and 120 tokens; one that has run beside them has come to 480 of 640."""
    core = Core(policy, 640)
    decisions = []
    for id, tokens in (("large", 150), ("small", 100), ("middle", 120)):
        decisions += [*core.ready(id, 32, limit=8), *core.turn_ended(id, context=tokens)]
    return [*decisions, *core.ready("large", 200, limit=8), *core.turn_ended("large", context=480)]


def test_an_engine_beyond_its_cache_parks_the_smallest_in_tools_first() -> None:
    assert parked(grown_beyond("headroom")) == ["small", "middle"]


def test_without_the_switch_nothing_is_parked_for_want_of_room() -> None:
    assert parked(grown_beyond("headroom:park_full=off")) == []


def test_the_last_trajectory_of_an_engine_is_never_parked_for_want_of_room() -> None:
    core = Core("headroom", 640)
    core.ready("a", 600)
    assert parked(core.turn_ended("a", context=1000)) == []
    assert core.headroom.demand(core.fleet)[0] > 640


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 300)), max_size=60))
def test_parking_leaves_running_turns_alone_and_an_engine_never_empty(grows: list[tuple[int, int]]) -> None:
    core = Core("headroom", 640)
    sizes: dict[str, int] = {}
    for number, more in grows:
        id = f"t{number}"
        known = core.fleet.trajectories.get(id)
        if known is not None and known.state is State.RUNNING:
            sizes[id] += more
            decisions = core.turn_ended(id, context=sizes[id])
        elif known is None or known not in core.fleet.waiting:
            sizes.setdefault(id, 32)
            decisions = core.ready(id, sizes[id], prompt=32)
        else:
            continue
        for refused in [d.trajectory for d in decisions if isinstance(d, Refuse)]:
            del sizes[refused]
        went = {
            d.trajectory: core.fleet.trajectories[d.trajectory].state for d in decisions if type(d) is Park
        }
        assert State.RUNNING not in went.values()
        if went:
            assert core.fleet.counted("e0") > 0


@pytest.mark.parametrize("theta", [-1.0, 0.0, 1.01])
def test_a_theta_that_is_no_share_is_refused(theta: float) -> None:
    with pytest.raises(InputError, match=r"policy headroom: theta is .*; it must be above 0 and at most 1"):
        make_policy(f"headroom:theta={theta}")


def test_theta_is_the_share_that_admission_may_promise() -> None:
    for theta, fits in ((0.5, False), (1.0, True)):
        core = Core(f"headroom:reserve=off,theta={theta}", 1600)
        assert core.headroom.budget(core.fleet).tolist() == [theta * 1600]
        core.ready("a", 480)
        assert bool(dispatched(core.ready("b", 480))) is fits


def test_of_unlike_engines_each_gets_by_its_own_size() -> None:
    core = Core("headroom:reserve=off", 1600, 16_000)
    for number in range(24):
        core.ready(f"t{number}", 480)
    counts = core.fleet.counted("e0"), core.fleet.counted("e1")
    assert counts[0] <= 3
    assert counts[1] > 10
    assert np.all(core.headroom.demand(core.fleet) <= core.headroom.budget(core.fleet))


def test_what_fits_no_engine_is_refused_at_once_although_others_wait() -> None:
    core = Core("headroom", 640)
    core.ready("a", 600)
    assert core.ready("b", 600) == [Hold("b", Reason.KV_FULL)]
    assert core.ready("c", 640) == [Refuse("c", 656, 640)]
    assert core.live == 2


def test_a_spec_names_a_policy_and_its_options() -> None:
    policy = make_policy("headroom:theta=0.5,z=2,migrate=off,hold=on")
    assert isinstance(policy, Headroom)
    assert (policy.theta, policy.z, policy.migrate, policy.hold) == (0.5, 2.0, False, True)
    assert make_policy("headroom") is not make_policy("headroom")
    assert all(make_policy(name).name == name for name in NAMES)


@pytest.mark.parametrize("switch", [name for name in option_names("headroom") if name not in ("theta", "z")])
def test_every_switch_is_on_until_it_is_turned_off(switch: str) -> None:
    assert getattr(make_policy("headroom"), switch) is True
    assert getattr(make_policy(f"headroom:{switch}=off"), switch) is False


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("headrom", "no policy is named 'headrom'; choose one of: headroom, static"),
        ("", "no policy is named ''"),
        ("headroom:tehta=1", r"policy headroom: 'tehta=1' is not an option \(name=value\); .*theta, z"),
        ("headroom:theta", r"policy headroom: 'theta' is not an option \(name=value\)"),
        ("headroom:_kept=1", r"policy headroom: '_kept=1' is not an option"),
        ("headroom:theta=much", "policy headroom: theta=much: "),
        ("headroom:migrate=maybe", "policy headroom: migrate=maybe: "),
        ("headroom:theta=2", "policy headroom: theta is 2"),
        ("round_robin:limit=3", "policy round_robin: 'limit=3' is not an option .*it has no options"),
    ],
)
def test_a_spec_that_says_nothing_sensible_is_named(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_policy(spec)


def test_a_warm_turn_does_not_move_to_the_engine_that_is_kept_for_the_first_that_waits() -> None:
    core = Core("headroom:reserve=off", 32_768, 32_768)
    core.fleet.costs.prefill, core.fleet.costs.attention = 1e-6, 0.0
    for number in range(2 * MARGIN + 4):
        core.rest(f"t{number}", 400, then=500)
    one, *others = core.fleet.held("e0")
    core.headroom.migrate = False
    for trajectory in others:
        core.ready(trajectory.id, 600)
    core.headroom.migrate = True
    assert core.ready("head", 30_000) == [Hold("head", Reason.KV_FULL)]
    assert core.ready(one.id, 510)[0] == Dispatch(one.id, "e0", Reason.WARM)  # e1, in tools only, is saved
    core.ended("head", failed=True)
    assert core.ready(core.fleet.in_tools("e1")[0].id, 510)  # the queue is empty again


def test_what_has_outgrown_its_home_goes_to_a_larger_engine() -> None:
    core = Core("headroom:reserve=off", 1600, 16_000)
    core.ready("big", 8000)
    core.rest("a", 400, then=1200)
    assert core.fleet.trajectories["a"].home == "e0"
    decisions = core.ready("a", 1500, limit=400)
    assert Dispatch("a", "e1", Reason.RETURNED) in decisions


def test_new_weights_do_not_put_one_that_has_waited_behind_those_that_came_later() -> None:
    core = Core("headroom:reserve=off", 1600)
    core.rest("old", 160, then=400)
    core.caches_dropped()
    core.ready("full", 1400)
    core.ready("old", 400, prompt=160)
    core.now = PATIENCE * core.fleet.cycle_s + 1
    core.ready("new", 160)
    core.caches_dropped()
    assert dispatched(core.ended("full", failed=False)) == ["old", "new"]


def test_holds_that_are_over_are_not_remembered_behind_one_that_lasts() -> None:
    core = Core("headroom", 1 << 20, is_known=True)
    core.rest("hangs", 64)
    core.ready("t", 64)
    for _ in range(2000):
        core.turn_ended("t", context=64)
        core.now += 0.01
        core.ready("t", 64)
    assert len(core.headroom._expiries) < 200


def test_a_lost_engine_does_not_count_as_one_with_room() -> None:
    core = Core("headroom:reserve=off", 1600, 1600)
    core.ready("a", 1200)
    core.ready("b", 1200)
    core.engine_lost("e1")
    core.turn_abandoned("b")
    assert core.ready("c", 1000) == [Hold("c", Reason.KV_FULL)]
    assert max(core.headroom._room, core.headroom._empty) < 1000
