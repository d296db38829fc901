import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.engine import EngineStats
from headway.scheduler.dispatcher import Decision, Dispatch, Dispatcher, Hold, Park, Refuse
from headway.scheduler.ledger import Capacity
from headway.scheduler.policies import NAMES, make_policy, option_names
from headway.scheduler.policies.headroom import Headroom
from headway.scheduler.policy import ParkReason, Reason

SMALL = {"a": Capacity(320, 16), "b": Capacity(320, 16)}
THREE = {**SMALL, "c": Capacity(320, 16)}


def ready(core: Dispatcher, id: str, context: int, limit: int = 32, prompt: int = 32) -> list[Decision]:
    return core.turn_ready(id, group=id.split(".")[0], prompt=prompt, context=context, turn_limit=limit)


def test_new_trajectories_spread_over_the_engines() -> None:
    core = Dispatcher(SMALL, make_policy("headroom"))
    engines = [decision.engine for id in ("g1.0", "g2.0") for decision in ready(core, id, 32)]
    assert sorted(engines) == ["a", "b"]


def taught(capacities: dict[str, Capacity], policy: str, grows: int) -> Dispatcher:
    """A core that has seen trajectories of one turn that generates so many tokens."""
    core = Dispatcher(capacities, make_policy(policy), max_context=2048)
    for number in range(64):
        ready(core, f"t{number}.0", 32)
        core.turn_ended(f"t{number}.0", context=32 + grows)
        core.ended(f"t{number}.0", failed=False)
    return core


def siblings(core: Dispatcher, prompt: int) -> list[str]:
    """The engines that two of a group go to."""
    decisions = [ready(core, id, prompt, limit=32, prompt=prompt) for id in ("g1.0", "g1.1")]
    return [decision.engine for (decision,) in decisions]


def test_siblings_go_where_their_prompt_is_cached_if_they_have_little_to_generate() -> None:
    core = taught({"a": Capacity(8192, 16), "b": Capacity(8192, 16)}, "headroom", grows=10)
    first, second = siblings(core, prompt=1600)
    assert first == second


def test_siblings_go_apart_if_their_company_costs_more_than_their_prompt() -> None:
    core = taught({"a": Capacity(8192, 16), "b": Capacity(8192, 16)}, "headroom", grows=3000)
    first, second = siblings(core, prompt=1600)
    assert first != second


def test_a_turn_whose_kv_is_still_counted_goes_home_at_once_even_when_others_wait() -> None:
    core = Dispatcher({"a": Capacity(160, 16)}, make_policy("headroom"))
    assert ready(core, "g1.0", 32) == [Dispatch("g1.0", "a", Reason.NEW)]
    ready(core, "g2.0", 32)
    assert ready(core, "g3.0", 96) == [Hold("g3.0", Reason.KV_FULL)]
    core.turn_ended("g1.0", context=40)
    assert Dispatch("g1.0", "a", Reason.WARM) in ready(core, "g1.0", 44)


@pytest.mark.parametrize(
    ("policy", "first"),
    [
        ("headroom", Dispatch("g3.0", "a", Reason.NEW)),
        ("headroom:least_first=off", Dispatch("g1.0", "a", Reason.RETURNED)),
    ],
)
def test_least_progress_goes_first_or_else_returned_work(policy: str, first: Dispatch) -> None:
    core = Dispatcher({"a": Capacity(160, 16)}, make_policy(policy))
    ready(core, "g1.0", 32)
    core.turn_ended("g1.0", context=60)
    assert Park("g1.0", "a", ParkReason.NEW_WEIGHTS) in core.caches_dropped()
    ready(core, "g2.0", 64, limit=80)
    assert ready(core, "g1.0", 64, limit=80) == [Hold("g1.0", Reason.KV_FULL)]
    assert Hold("g3.0", Reason.KV_FULL) in ready(core, "g3.0", 64, limit=80, prompt=64)
    assert core.ended("g2.0", failed=False)[0] == first


def test_an_engine_that_grew_beyond_its_cache_parks_the_smallest_trajectories_in_tools() -> None:
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
    assert core.caches_dropped() == [Park("g1.0", placed.engine, ParkReason.NEW_WEIGHTS)]
    for number in range(3):  # make its old home the busier one
        core.turn_ready(f"h{number}.0", group=f"h{number}", prompt=16, context=16, turn_limit=8)
    other = min(SMALL, key=lambda engine: core.fleet.running(engine))
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
    assert core.engine_lost(lost) == [Park("g1.0", lost, ParkReason.ENGINE_LOST)]
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
    assert core.engine_lost("large") == [Refuse("g2.0", 432, 320), Refuse("g3.0", 432, 320)]
    assert core.ended("g1.0", failed=False) == [Dispatch("g4.0", "small", Reason.NEW)]


def test_a_turn_that_ends_well_on_an_engine_lost_meanwhile_is_kept_and_goes_on_elsewhere() -> None:
    core = Dispatcher(SMALL, make_policy("headroom"))
    (first,) = ready(core, "g1.0", 64)
    core.engine_lost(first.engine)
    assert core.turn_ended("g1.0", context=80) == [Park("g1.0", first.engine, ParkReason.ENGINE_LOST)]
    (again,) = ready(core, "g1.0", 90)
    assert (again.engine in SMALL, again.engine != first.engine) == (True, True)
    assert again.reason is Reason.RETURNED


def test_turns_lost_with_their_engine_do_not_count_as_running_in_the_forecast() -> None:
    now = 0.0
    core = Dispatcher(SMALL, make_policy("static"), clock=lambda: now)
    for number in range(4):
        ready(core, f"t{number}.0", 32)
        now += 1.0
        core.turn_ended(f"t{number}.0", context=42)
    (placed,) = ready(core, "g1.0", 64)
    before = core.fleet.forecast.growth(0, 1 << 20, now)
    core.engine_lost(placed.engine)
    core.turn_abandoned("g1.0")
    assert core.fleet.forecast.growth(0, 1 << 20, now + 1e6) == before


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
    """Drives a dispatcher with random agents on a random clock, as its shell does, and checks its promises.

    Besides turns that end, turns are given up, trajectories cancelled, caches dropped and engines lost; every
    turn's end brings what its engine says of itself.
    """

    def __init__(self, policy: str, seed: int, trajectories: int) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.policy = make_policy(policy)
        self.core = Dispatcher(THREE, self.policy, clock=lambda: self.now, max_context=320)
        self.log: list[object] = []
        self.turns = {f"g{i // 4}.{i % 4}": self.rng.randint(1, 5) for i in range(trajectories)}
        self.context = dict.fromkeys(self.turns, 32)
        self.unseen = list(self.turns)
        self.running: dict[str, str] = {}  # trajectory -> engine
        self.waiting: set[str] = set()
        self.in_tool: list[str] = []
        self.finished: list[str] = []
        self.alive = list(THREE)
        self.stats = {id: EngineStats() for id in THREE}

    def play(self) -> None:
        while len(self.finished) < len(self.turns):
            moves = self.moves()
            if moves:
                self.pass_time(self.now + self.rng.expovariate(2.0))
                moves = self.moves()
            if moves:
                self.rng.choice(moves)()
            else:
                wake_at = self.core.wake_at()
                assert wake_at is not None, f"{sorted(self.waiting)} wait for ever"
                self.pass_time(wake_at)
            self.check()

    def moves(self) -> list[Callable[[], None]]:
        """What can happen now, the usual things more often."""
        moves = [self.start] * 4 * bool(self.unseen) + [self.end] * 4 * bool(self.running)
        moves += [self.back] * 4 * bool(self.in_tool)
        if moves and self.rng.random() < 0.1:
            moves = [self.drop_caches]
            moves += [self.cancel] * bool(self.running or self.waiting or self.in_tool)
            moves += [self.give_up] * bool(self.running or self.waiting)
            moves += [self.lose] * (len(self.alive) > 1)
        return moves

    def pass_time(self, until: float) -> None:
        """Let the clock run, and wake the core when it asked for it."""
        wakes = 0
        while (at := self.core.wake_at()) is not None and at <= until:
            self.now = max(self.now, at)
            self.take(self.core.wake())
            self.check()
            wakes += 1
            assert wakes < 10_000, "the core wants to be woken again and again"
        self.now = max(self.now, until)

    def take(self, decisions: Sequence[Decision]) -> None:
        self.log += decisions
        for decision in decisions:
            match decision:
                case Dispatch(trajectory=id, engine=engine):
                    assert id in self.waiting
                    assert engine in self.alive
                    self.running[id] = engine
                    self.waiting.remove(id)
                case Park(trajectory=id):
                    assert id not in self.running
                case Refuse(trajectory=id):
                    raise AssertionError(f"{id} was refused, and would fit any engine")

    def start(self) -> None:
        self.want_turn(self.unseen.pop(0))

    def back(self) -> None:
        id = self.in_tool.pop(self.rng.randrange(len(self.in_tool)))
        self.context[id] += self.rng.randint(0, 20)
        self.want_turn(id)

    def want_turn(self, id: str) -> None:
        self.waiting.add(id)
        self.take(ready(self.core, id, self.context[id], min(24, 320 - self.context[id])))

    def end(self) -> None:
        id = self.rng.choice(sorted(self.running))
        engine = self.running.pop(id)
        self.turns[id] -= 1
        self.context[id] += self.rng.randint(0, 24)
        preemptions = self.rng.choice([0, 0, 0, 1, 2])
        decisions = self.core.turn_ended(
            id, context=self.context[id], preemptions=preemptions, stats=self.report(engine)
        )
        self.in_tool.append(id)
        self.take(decisions)
        if self.turns[id] == 0:
            self.in_tool.remove(id)
            self.finished.append(id)
            self.take(self.core.ended(id, failed=self.rng.random() < 0.2))

    def report(self, engine: str) -> EngineStats:
        """What the engine says of itself; its running turns have written something."""
        old = self.stats[engine]
        running = [id for id, where in self.running.items() if where == engine]
        in_use = sum(self.context[id] + self.rng.randint(0, 16) for id in running)
        steps = self.rng.randint(0, 20)
        self.stats[engine] = EngineStats(
            steps=old.steps + steps,
            running=len(running),
            kv_usage=min(in_use / 320, 1.0),
            generated_tokens=old.generated_tokens + steps * len(running),
            prompt_tokens=old.prompt_tokens + self.rng.randint(0, 64),
            cached_tokens=old.cached_tokens,
        )
        return self.stats[engine]

    def give_up(self) -> None:
        """Abandon a turn, running or waiting; the trajectory asks again later."""
        id = self.rng.choice(sorted({*self.running, *self.waiting}))
        self.forget(id)
        self.in_tool.append(id)
        self.take(self.core.turn_abandoned(id))

    def cancel(self) -> None:
        """End a trajectory wherever it is."""
        id = self.rng.choice(sorted({*self.running, *self.waiting, *self.in_tool}))
        self.forget(id)
        self.finished.append(id)
        self.take(self.core.ended(id, failed=True))

    def forget(self, id: str) -> None:
        self.running.pop(id, None)
        self.waiting.discard(id)
        if id in self.in_tool:
            self.in_tool.remove(id)

    def drop_caches(self) -> None:
        self.take(self.core.caches_dropped())

    def lose(self) -> None:
        """Lose an engine; of the turns on it some still end well, and the others are given up."""
        engine = self.alive.pop(self.rng.randrange(len(self.alive)))
        self.take(self.core.engine_lost(engine))
        for id in [id for id, where in self.running.items() if where == engine]:
            if self.rng.random() < 0.5:
                self.forget(id)
                self.in_tool.append(id)
                self.take(self.core.turn_abandoned(id))

    def check(self) -> None:
        fleet = self.core.fleet
        counted = {id for engine in THREE for id in fleet.ledger.held(engine)}
        assert sum(fleet.running(engine) for engine in self.alive) == sum(
            engine in self.alive for engine in self.running.values()
        )
        assert counted == {t.id for t in fleet.trajectories.values() if t.is_counted}
        assert set(self.running) <= counted
        assert {t.id for t in fleet.waiting} == self.waiting


@pytest.mark.parametrize("policy", NAMES)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), trajectories=st.integers(1, 40))
def test_every_trajectory_finishes_exactly_once_and_the_ledger_returns_to_zero(
    policy, seed, trajectories
) -> None:
    run = Run(policy, seed, trajectories)
    run.play()
    fleet = run.core.fleet
    assert sorted(run.finished) == sorted(run.turns)
    assert run.core.live == 0
    assert all(fleet.ledger.used(engine) == 0 for engine in THREE)
    assert not any(running.count for running in fleet.forecast._running.values())
    for array in (fleet.turns, fleet.running_tokens, fleet.growth, fleet.variances, fleet.held_tokens):
        assert not array.any()


@pytest.mark.parametrize("policy", NAMES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_same_events_give_the_same_decisions(policy, seed) -> None:
    first, second = Run(policy, seed, 24), Run(policy, seed, 24)
    first.play()
    second.play()
    assert first.log == second.log


class WatchedRun(Run):
    """Checks an engine's demand after every event that admitted something to it beside others."""

    admissions = 0

    def take(self, decisions: Sequence[Decision]) -> None:
        super().take(decisions)
        assert isinstance(self.policy, Headroom)
        fleet = self.core.fleet
        demand, budget = self.policy.demand(fleet), self.policy.budget(fleet)
        admitted = [d for d in decisions if isinstance(d, Dispatch) and d.reason is not Reason.WARM]
        for engine in {decision.engine for decision in admitted}:
            if fleet.counted(engine) > 1:
                assert demand[fleet.index(engine)] <= budget[fleet.index(engine)] + 1e-6
                self.admissions += 1


@pytest.mark.parametrize(
    "policy",
    ["headroom", "headroom:theta=0.5,z=2.5"]
    + [f"headroom:{switch}=off" for switch in option_names("headroom") if switch not in ("theta", "z", "c")],
)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_headroom_never_promises_more_than_its_budget_when_it_admits(policy, seed) -> None:
    run = WatchedRun(policy, seed, 40)
    run.play()
    assert run.admissions
