import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.profiles.attribution import Attribution
from headway.profiles.cause import Cause
from headway.profiles.gpu.sample import GpuSample
from headway.profiles.timeline import PARTS, Change, Timeline
from headway.profiles.timeline_table import UNSET
from headway.scheduler import events as ev
from tests.profiles.report.made_up import END, ended, made_up_run

ENGINES = ["a", "b", "c"]


def attributed(timeline: Timeline, events: list[ev.Event], *, start: int, end: int) -> Attribution:
    attribution = Attribution(ENGINES, start, on_interval=timeline.on_interval)
    for event in events:
        attribution.take(event)
        timeline.emit(event)
    attribution.advance(end)
    attribution.close()
    timeline.finish(end)
    return attribution


def test_a_bins_causes_sum_to_its_width_and_an_engines_to_what_was_attributed() -> None:
    events = made_up_run(60, engines=ENGINES)
    timeline = Timeline(ENGINES, 0)
    attribution = attributed(timeline, events, start=0, end=END + 12_345)
    assert 1_000 <= timeline.bins <= 2_000
    for engine, spent in attribution.spent().items():
        causes = timeline.causes(engine)
        assert {cause: int(ns.sum()) for cause, ns in causes.items()} == spent
        whole = np.sum(list(causes.values()), axis=0)
        assert set(whole[:-1].tolist()) == {timeline.width}
        assert whole[-1] == timeline.wall_ns - timeline.width * (timeline.bins - 1)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), start=st.integers(0, 10**15))
def test_no_nanosecond_is_lost_however_long_and_short_the_stretches_are(seed: int, start: int) -> None:
    rng = random.Random(seed)
    timeline = Timeline(["a"], start)
    spent: dict[Cause, int] = {}
    t = start
    for _ in range(40):
        cause, ns = rng.choice(list(Cause)), rng.randrange(1, 10 ** rng.randrange(1, 13))
        timeline.on_interval("a", cause, t, t + ns)
        spent[cause] = spent.get(cause, 0) + ns
        t += ns
    timeline.finish(t)
    causes = timeline.causes("a")
    assert {cause: int(ns.sum()) for cause, ns in causes.items()} == spent
    whole = np.sum(list(causes.values()), axis=0)
    assert (whole[:-1] == timeline.width).all()
    assert timeline.bins <= 2_000


def test_a_large_fleet_has_fewer_bins() -> None:
    engines = [f"engine-{number}" for number in range(1_000)]
    timeline = Timeline(engines, 0)
    timeline.on_interval("engine-7", Cause.BUSY, 0, 10**13)
    timeline.finish(10**13)
    assert timeline.bins * len(engines) <= 400_000
    assert timeline.causes("engine-7")[Cause.BUSY].sum() == 10**13


def test_levels_are_integrals_over_time() -> None:
    timeline = Timeline(["a"], 100)
    for event in (
        ev.TrajectoryStarted(t=100, trajectory="x", group="g", task="t"),
        ev.TurnReady(t=200, trajectory="x", turn=0, context=10),
        ev.TurnDispatched(t=500, trajectory="x", turn=0, engine="a", reason="new"),
        ended(900, "x", 0, "a", 10),
        ev.ToolStarted(t=900, trajectory="x", turn=0, tool="p"),
    ):
        timeline.emit(event)
    timeline.finish(1100)
    levels = {name: int(timeline.level(name).sum()) for name in ("live", "ready", "tools")}
    assert levels == {"live": 1000, "ready": 300, "tools": 200}
    assert timeline.level("running", "a").sum() == 400


def test_the_cache_and_the_sms_count_only_while_they_are_known() -> None:
    timeline = Timeline(["a"], 0)
    timeline.emit(ev.EngineLoad(t=600, engine="a", running=1, waiting=0, kv_usage=0.25))
    timeline.emit(GpuSample(t=700, gpu="x", span_ns=200, sm=0.5))
    timeline.emit(GpuSample(t=900, gpu="y", span_ns=200))
    timeline.finish(1000)
    assert timeline.level("kv_seen", "a").sum() == 400
    assert timeline.level("kv", "a").sum() == 400 * PARTS // 4
    assert timeline.sampled_gpus() == ["x"]
    assert timeline.level("sm_seen", "x").sum() == 200
    assert timeline.level("sm", "x").sum() == 200 * PARTS // 2


def test_phases_and_weights_are_noted_as_they_change() -> None:
    timeline = Timeline(["a"], 10)
    timeline.emit(ev.PhaseChanged(t=10, phase="rollout", step=3))
    for t, version in ((11, 7), (12, 7), (13, 8)):
        timeline.emit(ev.EngineChanged(t=t, engine="a", state="ready", weight_version=version))
    assert timeline.phases == [Change(0, "rollout", 3)]
    assert timeline.versions == [Change(1, "a", 7), Change(3, "a", 8)]


def test_a_life_has_its_turns_with_what_held_them_and_its_tools() -> None:
    timeline = Timeline(["a"], 0)
    for event in (
        ev.TrajectoryStarted(t=1, trajectory="x", group="g", task="t"),
        ev.TurnReady(t=2, trajectory="x", turn=0, context=10),
        ev.TurnHeld(t=3, trajectory="x", reason="kv_full"),
        ev.TurnDispatched(t=5, trajectory="x", turn=0, engine="a", reason="new"),
        ev.TurnAbandoned(t=6, trajectory="x", turn=0),
        ev.TurnReady(t=7, trajectory="x", turn=0, context=10),
        ev.TurnDispatched(t=8, trajectory="x", turn=0, engine="a", reason="warm"),
        ended(20, "x", 0, "a", 12),
        ev.ToolStarted(t=21, trajectory="x", turn=0, tool="python"),
        ev.ToolStarted(t=22, trajectory="x", turn=0, tool="search"),
        ev.ToolEnded(t=23, trajectory="x", turn=0, tool="python", status="error"),
        ev.TrajectoryEnded(
            t=30, trajectory="x", status="failed", cause="agent: left", turns=1, tokens=9, reward=0.5
        ),
    ):
        timeline.emit(event)
    lives = timeline.lives
    words = list(lives.words)
    assert [list(lives.turns[name]) for name in ("ready", "dispatched", "end", "queued", "first")] == [
        [2, 7],
        [5, 8],
        [6, 20],
        [UNSET, 2],
        [UNSET, 5],
    ]
    assert [words[number] for number in lives.turns["finish"]] == ["abandoned", "stop"]
    assert [words[number] for number in lives.turns["reason"]] == ["new", "warm"]
    assert list(lives.holds["t"]) == [3]
    assert [words[number] for number in lives.holds["reason"]] == ["kv_full"]
    assert [words[number] for number in lives.tools["name"]] == ["python", "search"]
    assert list(lives.tools["end"]) == [23, UNSET]
    assert (lives.lives["start"][0], lives.lives["end"][0], lives.rewards[0]) == (1, 30, 0.5)
    assert words[lives.lives["cause"][0]] == "agent: left"


def test_events_of_trajectories_that_are_not_known_are_left_out() -> None:
    timeline = Timeline(["a"], 0)
    timeline.emit(ev.TurnReady(t=2, trajectory="x", turn=0, context=10))
    timeline.emit(ev.ToolEnded(t=3, trajectory="x", turn=0, tool="python", status="ok"))
    timeline.finish(5)
    assert not timeline.lives.ids
    assert not len(timeline.lives.turns)
