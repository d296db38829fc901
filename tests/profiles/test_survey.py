from headway.profiles.found_events import Gap, Recomputing, StageChanged, Vanished
from headway.profiles.gpu.sample import GpuSample
from headway.profiles.in_time import in_time
from headway.profiles.survey import Survey
from headway.scheduler import events as ev

S = 10**9


def turn(
    start: int,
    end: int,
    id: str = "x",
    *,
    engine: str = "a",
    prompt: int = 100,
    cached: int = 0,
    queue_s: float = 0.0,
    first_token_s: float = 0.0,
) -> list[ev.Event]:
    return [
        ev.TurnDispatched(t=start, trajectory=id, turn=0, engine=engine, reason="new"),
        ev.TurnEnded(
            t=end,
            trajectory=id,
            turn=0,
            engine=engine,
            prompt=prompt,
            cached=cached,
            generated=20,
            preemptions=0,
            queue_s=queue_s,
            first_token_s=first_token_s,
            first_version=0,
            last_version=0,
            finish="stop",
        ),
    ]


def started(t: int, id: str = "x") -> ev.Event:
    return ev.TrajectoryStarted(t=t, trajectory=id, group="g", task="t")


def over(t: int, id: str = "x") -> ev.Event:
    return ev.TrajectoryEnded(t=t, trajectory=id, status="finished", cause="answer", turns=1, tokens=1)


def surveyed(*events: ev.Event) -> Survey:
    survey = Survey()
    for event in events:
        survey.emit(event)
    return survey


def test_work_ramps_up_until_all_engines_have_a_turn_and_drains_once_one_has_had_its_last() -> None:
    survey = surveyed(
        started(1),
        started(1, "y"),
        *turn(2, 9),
        *turn(4, 20, "y", engine="b"),
        over(21, "y"),
        over(30),
        started(40),
        *turn(40, 50),
        over(50),
    )
    stages = [(e.t, e.stage) for e in survey.events() if isinstance(e, StageChanged)]
    assert stages == [
        *[(1, "ramp"), (4, "steady"), (9, "drain"), (30, "outside")],
        *[(40, "ramp"), (40, "steady"), (50, "drain"), (50, "outside")],
    ]


def test_a_prefill_of_what_was_known_before_and_is_cached_no_more_is_recomputation() -> None:
    survey = surveyed(
        started(0),
        *turn(0, 1 * S, prompt=100, cached=10),  # known afterwards: 120 tokens
        *turn(2 * S, 6 * S, prompt=200, cached=40, queue_s=1.0, first_token_s=3.0),
    )
    assert survey.recomputed == {"a": 80}
    found = [(e.t, e.on) for e in survey.events() if isinstance(e, Recomputing)]
    assert found == [(3 * S, True), (4 * S, False)]  # 80 of the 160 tokens that were prefilled in 2 s


def test_a_prefill_after_new_weights_is_their_price_and_no_recomputation() -> None:
    survey = surveyed(
        *turn(0, S, cached=10),
        ev.EngineChanged(t=S, engine="a", state="weight_sync"),
        *turn(2 * S, 6 * S, prompt=200, first_token_s=3.0),
    )
    assert survey.recomputed == {}


def test_engines_that_never_tell_of_cached_tokens_are_not_charged() -> None:
    survey = surveyed(*turn(0, S), *turn(2 * S, 6 * S, prompt=200, first_token_s=3.0))
    assert survey.recomputed == {}
    assert not [event for event in survey.events() if isinstance(event, Recomputing)]


def test_after_a_gap_a_trajectory_is_where_its_next_event_says_and_gone_if_there_is_none() -> None:
    survey = surveyed(
        *(started(0, id) for id in ("gone", "moved", "runs")),
        Gap(t=5, until=9),
        *turn(3, 20, "runs")[1:],
        ev.ToolStarted(t=30, trajectory="moved", turn=0, tool="p"),
        over(40, "runs"),
        over(40, "moved"),
    )
    vanished = [(e.t, e.trajectory, e.live) for e in survey.events() if isinstance(e, Vanished)]
    assert vanished == [(9, "moved", True), (9, "gone", False)]
    assert [e.t for e in survey.events() if isinstance(e, StageChanged) and e.stage == "outside"] == [40]


def test_a_prefill_of_new_tokens_is_none() -> None:
    survey = surveyed(*turn(0, S), *turn(2 * S, 6 * S, prompt=200, cached=120, first_token_s=3.0))
    assert survey.recomputed == {}


def test_samples_that_arrive_late_are_put_in_their_place() -> None:
    early = GpuSample(t=5, gpu="0", span_ns=1)
    recorded = [started(1), started(9, "y"), early]
    survey = surveyed(*recorded)
    assert [e.t for e in in_time(recorded, survey.events()) if not isinstance(e, StageChanged)] == [1, 5, 9]
