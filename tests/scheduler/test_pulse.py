import asyncio
import time

from headway.engine import EngineStats
from headway.scheduler.events import EngineChanged, EngineLoad, Event, LoopLate, TurnAbandoned, TurnDispatched
from headway.scheduler.pulse import Pulse

S = 10**9


class Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def states(self) -> list[tuple[int, str]]:
        return [(e.t // S, e.state) for e in self.events if isinstance(e, EngineChanged)]


def dispatched(t: int) -> Event:
    return TurnDispatched(t=t, trajectory="x", turn=0, engine="a", reason="new")


def watch(pulse: Pulse, seconds: range, steps: int = 0) -> None:
    """The engine says every second that it has taken so many steps."""
    for second in seconds:
        pulse.observe("a", EngineStats(steps=steps, running=1), second * S)


def test_an_engine_with_turns_that_takes_no_step_is_stalled_until_it_takes_one() -> None:
    kept = Kept()
    pulse = Pulse(kept)
    pulse.emit(dispatched(0))
    watch(pulse, range(8), steps=1)
    pulse.observe("a", EngineStats(steps=2, running=1), 9 * S)
    assert kept.states() == [(3, "stalled"), (9, "ready")]


def test_an_engine_without_turns_stands_still_with_every_right() -> None:
    kept = Kept()
    pulse = Pulse(kept)
    watch(pulse, range(20))
    pulse.emit(dispatched(20 * S))
    pulse.emit(TurnAbandoned(t=21 * S, trajectory="x", turn=0))
    watch(pulse, range(21, 40))
    assert kept.states() == []


def test_an_engine_whose_steps_are_long_has_more_time() -> None:
    kept = Kept()
    pulse = Pulse(kept)
    pulse.emit(dispatched(0))
    for steps in range(6):
        watch(pulse, range(steps * 2, steps * 2 + 2), steps)
    watch(pulse, range(12, 30), 6)
    assert kept.states() == [(21, "stalled")]  # after more than four times two seconds


def test_an_engine_that_prefills_in_chunks_moves_by_what_its_cache_holds() -> None:
    kept = Kept()
    pulse = Pulse(kept)
    pulse.emit(dispatched(0))
    for second in range(20):
        pulse.observe("a", EngineStats(running=1, kv_usage=second / 100), second * S)
    assert kept.states() == []


def test_an_engine_whose_steps_are_always_long_is_called_stalled_once_at_most() -> None:
    kept = Kept()
    pulse = Pulse(kept)
    pulse.emit(dispatched(0))
    for second in range(90):
        pulse.observe("a", EngineStats(steps=second // 9, running=1), second * S)
    assert [state for _, state in kept.states()] == ["stalled", "ready"]


async def test_an_event_loop_that_is_held_up_is_told_with_how_long() -> None:
    kept = Kept()
    async with Pulse(kept).watching([], every_s=0.01):
        await asyncio.sleep(0)
        time.sleep(0.6)  # noqa: ASYNC251 - this is what a careless agent does
        await asyncio.sleep(0.05)
    (late,) = [event for event in kept.events if isinstance(event, LoopLate)]
    assert late.late_ns / S > 0.5


def test_an_engine_that_takes_in_weights_is_not_watched() -> None:
    kept = Kept()
    pulse = Pulse(kept)
    pulse.emit(dispatched(0))
    pulse.emit(EngineChanged(t=1, engine="a", state="weight_sync"))
    watch(pulse, range(1, 30))
    assert kept.states() == [(0, "weight_sync")]


def test_loads_are_told_when_they_change() -> None:
    kept = Kept()
    pulse = Pulse(kept)
    for second, running in enumerate((1, 1, 2, 2)):
        stats = EngineStats(steps=5, running=running, prompt_tokens=9, cached_tokens=4)
        pulse.observe("a", stats, second * S)
    loads = [event for event in kept.events if isinstance(event, EngineLoad)]
    assert [(load.t // S, load.running, load.prefilled) for load in loads] == [(0, 1, 5), (2, 2, 5)]
