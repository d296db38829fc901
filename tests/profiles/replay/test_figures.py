import pytest

from headway.profiles.replay.figures import Figures, Tally
from headway.scheduler import events as ev
from tests.profiles.traces.logs import dispatched, end, ended, ready, start

S = 10**9


def tally(*events: ev.Event) -> Figures:
    taken = Tally(["e0", "e1"])
    for event in events:
        taken.emit(event)
    return taken.figures()


def one(begin: int) -> list[ev.Event]:
    """A trajectory that waits a second, generates for three and is rewarded for five."""
    return [
        start(begin * S, "g1.0"),
        ready(begin * S, "g1.0", 0, 10),
        ev.TurnHeld(t=begin * S, trajectory="g1.0", reason="kv_full"),
        dispatched((begin + 1) * S, "g1.0", 0),
        ended((begin + 4) * S, "g1.0", 0, 10, 5),
        end((begin + 9) * S, "g1.0"),
    ]


def test_the_clock_runs_from_the_first_start_to_the_end_of_the_last_turn() -> None:
    starting = [ev.EngineChanged(t=0, engine=id, state="starting") for id in ("e0", "e1")]
    up = [ev.EngineChanged(t=50 * S, engine=id, state="ready") for id in ("e0", "e1")]
    figures = tally(*starting, *up, *one(60))
    assert figures.makespan_s == 4.0
    assert figures.tokens_per_s == 5 / 4
    assert figures.idle == {"busy": 3 / 8, "kv_full": 2 / 8, "long_tail": 3 / 8}
    assert figures.idle_share == pytest.approx(5 / 8)


def test_first_tokens_count_from_the_start_of_their_trajectory() -> None:
    events = one(100)
    events[4] = ev.TurnEnded(
        t=104 * S,
        trajectory="g1.0",
        turn=0,
        engine="e0",
        prompt=10,
        cached=4,
        generated=5,
        preemptions=2,
        queue_s=0.25,
        first_token_s=0.5,
        first_version=0,
        last_version=0,
        finish="stop",
    )
    figures = tally(*events)
    assert figures.first_token_p50_s == figures.first_token_p99_s == 1.5
    assert (figures.preemptions, figures.hit_rate) == (2, 0.4)


def test_nothing_that_happened_comes_to_nothing() -> None:
    figures = tally(start(5, "g1.0"))
    assert (figures.makespan_s, figures.tokens_per_s, figures.hit_rate, figures.idle) == (0.0, 0.0, 0.0, {})
