import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.scheduler.dispatcher import Dispatch, Dispatcher, Hold, Park, Refuse
from headway.scheduler.ledger import Capacity
from headway.scheduler.policies import NAMES, make_policy
from headway.scheduler.policies.headroom import Headroom
from headway.scheduler.policy import Reason

SMALL = {"a": Capacity(320, 16), "b": Capacity(320, 16)}


def ready(core: Dispatcher, id: str, context: int, limit: int = 32):
    return core.turn_ready(id, group=id.split(".")[0], prompt=32, context=context, turn_limit=limit)


def test_new_trajectories_spread_over_the_engines() -> None:
    core = Dispatcher(SMALL, make_policy("headroom"))
    engines = [decision.engine for id in ("g1.0", "g2.0") for decision in ready(core, id, 32)]
    assert sorted(engines) == ["a", "b"]


def test_siblings_go_where_their_prompt_is_cached() -> None:
    core = Dispatcher({"a": Capacity(4096, 16), "b": Capacity(4096, 16)}, make_policy("headroom"))
    (first,) = core.turn_ready("g1.0", group="g1", prompt=320, context=320, turn_limit=32)
    (second,) = core.turn_ready("g1.1", group="g1", prompt=320, context=320, turn_limit=32)
    assert second.engine == first.engine


def test_a_turn_whose_kv_is_still_counted_goes_home_at_once_even_when_others_wait() -> None:
    core = Dispatcher({"a": Capacity(160, 16)}, make_policy("headroom"))
    assert ready(core, "g1.0", 32) == [Dispatch("g1.0", "a", Reason.NEW)]
    ready(core, "g2.0", 32)
    assert ready(core, "g3.0", 96) == [Hold("g3.0", Reason.KV_FULL)]
    core.turn_ended("g1.0", context=40)
    assert Dispatch("g1.0", "a", Reason.WARM) in ready(core, "g1.0", 44)


def test_returned_work_goes_before_new_work() -> None:
    core = Dispatcher({"a": Capacity(160, 16)}, make_policy("headroom"))
    ready(core, "g1.0", 32)
    core.turn_ended("g1.0", context=60)
    assert Park("g1.0", "a") in core.caches_dropped()
    ready(core, "g2.0", 64, limit=80)
    assert ready(core, "g3.0", 64, limit=80) == [Hold("g3.0", Reason.KV_FULL)]  # new, first to wait
    assert Hold("g1.0", Reason.KV_FULL) in ready(core, "g1.0", 64, limit=80)  # returned, later
    assert core.ended("g2.0", failed=False)[0] == Dispatch("g1.0", "a", Reason.RETURNED)


def test_an_engine_that_grew_beyond_its_budget_parks_the_smallest_trajectory_in_a_tool() -> None:
    core = Dispatcher({"a": Capacity(640, 16)}, make_policy("headroom"))
    decisions = []
    for id, grown in (("g1.0", 150), ("g2.0", 100), ("g3.0", 120)):
        decisions += [*ready(core, id, 32, limit=8), *core.turn_ended(id, context=grown)]
    decisions += [*ready(core, "g1.0", 200, limit=8), *core.turn_ended("g1.0", context=480)]
    assert [d.trajectory for d in decisions if isinstance(d, Park)] == ["g2.0", "g3.0"]


def test_static_assignment_is_even_however_busy_an_engine_is_with_warm_turns() -> None:
    core = Dispatcher(SMALL, make_policy("static"))
    ready(core, "g0.0", 32)
    for number in range(1, 21):
        core.turn_ended("g0.0", context=32 + number)
        ready(core, "g0.0", 32 + number)
        ready(core, f"g{number}.0", 32)
    assert sorted(len(core.fleet.held(engine)) for engine in SMALL) == [10, 11]


def test_after_new_weights_no_engine_counts_as_having_a_trajectory_cached() -> None:
    core = Dispatcher({"a": Capacity(640, 16), "b": Capacity(640, 16)}, make_policy("headroom"))
    (placed,) = ready(core, "g1.0", 32)
    core.turn_ended("g1.0", context=100)
    assert core.caches_dropped() == [Park("g1.0", placed.engine)]
    for number in range(3):  # make its old home the busier one
        core.turn_ready(f"h{number}.0", group=f"h{number}", prompt=16, context=16, turn_limit=8)
    other = min(SMALL, key=lambda engine: len(core.fleet.running[engine]))
    assert Dispatch("g1.0", other, Reason.RETURNED) in ready(core, "g1.0", 104)


def test_what_a_refused_trajectory_held_goes_to_those_who_wait() -> None:
    core = Dispatcher({"a": Capacity(320, 16)}, make_policy("headroom"))
    ready(core, "g1.0", 200, limit=8)
    core.turn_ended("g1.0", context=260)
    assert ready(core, "g2.0", 64, limit=8) == [Hold("g2.0", Reason.KV_FULL)]
    assert ready(core, "g1.0", 400, limit=8) == [Refuse("g1.0", 408, 320), Dispatch("g2.0", "a", Reason.NEW)]


def test_a_trajectory_cannot_want_a_turn_while_it_has_one() -> None:
    core = Dispatcher({"a": Capacity(320, 16)}, make_policy("headroom"))
    for id in ("g1.0", "g2.0"):  # one runs, one waits
        ready(core, id, 200)
        with pytest.raises(RuntimeError, match=f"{id} wants a turn while it has one"):
            ready(core, id, 200)


def test_a_lost_engine_gets_nothing_more_and_what_it_held_goes_elsewhere() -> None:
    core = Dispatcher(SMALL, make_policy("headroom"))
    (first,) = ready(core, "g1.0", 64)
    core.turn_ended("g1.0", context=80)
    lost = first.engine
    assert core.engine_lost(lost) == [Park("g1.0", lost)]
    assert core.engine_lost(lost) == []
    (again,) = ready(core, "g1.0", 90)
    assert again.engine != lost
    core.engine_lost(again.engine)
    core.turn_abandoned("g1.0")
    assert ready(core, "g1.0", 90) == [Refuse("g1.0", 122, 0)]
    assert core.live == 0


def test_of_unlike_engines_only_one_that_can_hold_a_trajectory_gets_it() -> None:
    core = Dispatcher({"small": Capacity(320, 16), "large": Capacity(3200, 16)}, make_policy("headroom"))
    for number in range(3):
        (decision,) = ready(core, f"g{number}.0", 400)
        assert decision.engine == "large"


def test_when_the_large_engine_is_lost_what_only_it_could_hold_is_refused_and_nothing_else() -> None:
    core = Dispatcher({"small": Capacity(320, 16), "large": Capacity(3200, 16)}, make_policy("headroom"))
    core.turn_ready("g0.0", group="g0", prompt=32, context=3000, turn_limit=16)
    ready(core, "g1.0", 250)  # fills the small one
    for id in ("g2.0", "g3.0"):
        assert ready(core, id, 400) == [Hold(id, Reason.KV_FULL)]
    assert ready(core, "g4.0", 250) == [Hold("g4.0", Reason.KV_FULL)]
    core.ended("g1.0", failed=False)
    assert core.engine_lost("large") == [
        Refuse("g2.0", 432, 320),
        Refuse("g3.0", 432, 320),
        Dispatch("g4.0", "small", Reason.NEW),
    ]


def test_a_turn_that_can_never_fit_is_refused_with_its_size() -> None:
    core = Dispatcher(SMALL, make_policy("headroom"))
    assert ready(core, "g1.0", 300) == [Refuse("g1.0", 332, 320)]
    assert core.live == 0


def test_a_trajectory_too_large_for_the_budget_is_admitted_to_an_empty_engine() -> None:
    core = Dispatcher({"a": Capacity(320, 16)}, make_policy("headroom"))
    assert ready(core, "g1.0", 310, limit=10) == [Dispatch("g1.0", "a", Reason.NEW)]


@pytest.mark.parametrize("policy", ["static", "sticky_least_loaded"])
def test_the_baselines_never_make_a_turn_wait_and_never_move_it(policy: str) -> None:
    core = Dispatcher(SMALL, make_policy(policy))
    homes = {}
    for number in range(40):
        (decision,) = ready(core, f"g{number}.0", 64)
        homes[f"g{number}.0"] = decision.engine
    assert sorted(homes.values()) == ["a"] * 20 + ["b"] * 20
    core.turn_ended("g3.0", context=80)
    assert ready(core, "g3.0", 90) == [Dispatch("g3.0", homes["g3.0"], Reason.WARM)]


class Run:
    """Drives a dispatcher with random closed-loop agents, and checks its promises after every event."""

    def __init__(self, policy: str, seed: int, trajectories: int) -> None:
        self.rng = random.Random(seed)
        self.core = Dispatcher(SMALL, make_policy(policy))
        self.policy = policy
        self.log: list[object] = []
        self.turns = {f"g{i // 4}.{i % 4}": self.rng.randint(1, 5) for i in range(trajectories)}
        self.context = dict.fromkeys(self.turns, 32)
        self.running: set[str] = set()
        self.waiting: set[str] = set()
        self.in_tool: list[str] = []
        self.finished: list[str] = []

    def play(self) -> None:
        unseen = list(self.turns)
        while unseen or self.running or self.in_tool or self.waiting:
            moves = (
                [self.start] * bool(unseen)
                + [self.end] * bool(self.running)
                + [self.back] * bool(self.in_tool)
            )
            self.rng.choice(moves)(unseen)
            self.check()

    def take(self, decisions) -> None:
        self.log += decisions
        for decision in decisions:
            if isinstance(decision, Dispatch):
                assert decision.trajectory not in self.running
                self.running.add(decision.trajectory)
                self.waiting.discard(decision.trajectory)

    def start(self, unseen: list[str]) -> None:
        self.want_turn(unseen.pop(0))

    def back(self, unseen: list[str]) -> None:
        self.want_turn(self.in_tool.pop(self.rng.randrange(len(self.in_tool))))

    def want_turn(self, id: str) -> None:
        context = self.context[id]
        group = id.split(".")[0]
        limit = min(24, 320 - context)
        self.waiting.add(id)
        self.take(self.core.turn_ready(id, group=group, prompt=32, context=context, turn_limit=limit))

    def end(self, unseen: list[str]) -> None:
        id = self.rng.choice(sorted(self.running))
        self.running.remove(id)
        self.turns[id] -= 1
        self.context[id] += self.rng.randint(1, 24)
        self.take(self.core.turn_ended(id, context=self.context[id]))
        if self.turns[id] == 0:
            self.finished.append(id)
            self.take(self.core.ended(id, failed=self.rng.random() < 0.2))
        else:
            self.context[id] += self.rng.randint(0, 20)
            self.in_tool.append(id)

    def give_up(self, unseen: list[str]) -> None:
        """Abandon a turn, running or waiting; the trajectory asks again later."""
        id = self.rng.choice(sorted(self.running | self.waiting))
        self.running.discard(id)
        self.waiting.discard(id)
        self.in_tool.append(id)
        self.take(self.core.turn_abandoned(id))

    def cancel(self, unseen: list[str]) -> None:
        """End a trajectory wherever it is."""
        if self.rng.random() < 0.9:
            return
        id = self.rng.choice(sorted(self.running | self.waiting | set(self.in_tool)))
        self.running.discard(id)
        self.waiting.discard(id)
        if id in self.in_tool:
            self.in_tool.remove(id)
        self.finished.append(id)
        self.take(self.core.ended(id, failed=True))

    def check(self) -> None:
        fleet = self.core.fleet
        counted = {id for engine in SMALL for id in fleet.ledger.held(engine)}
        assert {id for running in fleet.running.values() for id in running} == self.running
        assert counted == {t.id for t in fleet.trajectories.values() if t.is_counted}
        assert self.running <= counted
        if not counted:
            assert not self.waiting  # something always runs while anything waits


@pytest.mark.parametrize("policy", NAMES)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), trajectories=st.integers(1, 40))
def test_every_trajectory_finishes_exactly_once_and_the_ledger_returns_to_zero(
    policy, seed, trajectories
) -> None:
    run = Run(policy, seed, trajectories)
    run.play()
    assert sorted(run.finished) == sorted(run.turns)
    assert run.core.live == 0
    assert all(run.core.fleet.ledger.used(engine) == 0 for engine in SMALL)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_same_events_give_the_same_decisions(seed: int) -> None:
    first, second = Run("headroom", seed, 24), Run("headroom", seed, 24)
    first.play()
    second.play()
    assert first.log == second.log


class WatchedRun(Run):
    """Checks an engine's demand after every event that admitted something to it beside others."""

    def take(self, decisions) -> None:
        super().take(decisions)
        policy, fleet = Headroom(), self.core.fleet
        admitted = [d for d in decisions if isinstance(d, Dispatch) and d.reason is not Reason.WARM]
        for engine in {decision.engine for decision in admitted}:
            if len(fleet.held(engine)) > 1:
                assert policy.demand(engine, fleet) <= policy.theta * 320 + 1e-9
                self.admissions += 1

    admissions = 0


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_headroom_never_promises_more_than_its_budget_when_it_admits(seed: int) -> None:
    run = WatchedRun("headroom", seed, 40)
    run.play()
    assert run.admissions
