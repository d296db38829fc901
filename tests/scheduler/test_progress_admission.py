"""What Progress-TTL remembers of refusals saves work and changes nothing."""

import asyncio

import pytest

from headway.engine.simulated import SimulatedEngine
from headway.profiles.closed_loop import play
from headway.profiles.hardware_profiles import load_hardware
from headway.profiles.small_suites import make_small_suite
from headway.profiles.virtual_time import run_virtual
from headway.scheduler.events import Event
from headway.scheduler.fleet_state import FleetState
from headway.scheduler.policies.progress_admission import Admission
from headway.scheduler.policies.progress_ttl import ProgressTtl

HARDWARE = load_hardware("cpu-tiny")


class Forgetful(Admission):
    """Looks at every engine for every turn that waits, at every event."""

    def admit(self, fleet: FleetState) -> dict[str, str]:
        self._loads.clear()
        return super().admit(fleet)


class Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


def events_under(policy: ProgressTtl, suite: str, *, dies_at: float | None) -> list[Event]:
    workload = make_small_suite(
        suite, seed=0, hardware=HARDWARE, engines=3, kv_tokens=8192, pressure=3.0, groups=None
    )
    kept = Kept()

    async def run() -> None:
        engines = [SimulatedEngine(HARDWARE, id=f"e{number}", kv_tokens=8192) for number in range(3)]
        if dies_at is not None:
            asyncio.get_running_loop().call_at(dies_at, engines[1].die)
        await play(workload, engines, policy, sink=kept)

    run_virtual(run())
    return kept.events


@pytest.mark.parametrize(("suite", "dies_at"), [("math", None), ("swe", 30.0)])
def test_the_same_turns_go_to_the_same_engines_at_the_same_times(suite: str, dies_at: float | None) -> None:
    remembers, forgets = ProgressTtl(), ProgressTtl()
    forgets._admission = Forgetful(forgets._programs, forgets._factors, everywhere=True)
    assert events_under(remembers, suite, dies_at=dies_at) == events_under(forgets, suite, dies_at=dies_at)
