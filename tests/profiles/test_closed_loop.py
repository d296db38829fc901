from pathlib import Path

import msgspec
import pytest

from headway.engine import Request
from headway.engine.simulated import SimulatedEngine
from headway.engine.simulated.hardware import Hardware, StepTime
from headway.errors import HeadwayError, InputError
from headway.profiles.closed_loop import distinct, play
from headway.profiles.event_log import EventLog, Header, Reader
from headway.profiles.hardware_profiles import load_hardware
from headway.profiles.loop_result import prefill_needed
from headway.profiles.small_suites import make_small_suite
from headway.profiles.virtual_time import run_virtual
from headway.profiles.workload import Script, ScriptedGroup, ScriptedTurn, Workload
from headway.scheduler import make_policy
from headway.scheduler.events import Event, TrajectoryEnded, TrajectoryStarted, TurnEnded
from headway.scheduler.policies import NAMES

HARDWARE = Hardware(
    name="test",
    source="made up",
    measured=False,
    step=StepTime(fixed=0.01, prefill=1e-4, decode=1e-4, kv_read=1e-6),
    kv_tokens=4096,
)
LONG = Script([ScriptedTurn(30, 0.5, 40), ScriptedTurn(7, 0.0, 3), ScriptedTurn(50)])
SHORT = Script([ScriptedTurn(12, 2.0, 90), ScriptedTurn(1)])
WORKLOAD = Workload(
    name="small",
    groups=[ScriptedGroup(100, [LONG, SHORT, LONG]), ScriptedGroup(60, [SHORT, SHORT])],
    max_context=1024,
    turn_limit=64,
    system=32,
)


class Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


def run(
    workload: Workload, policy: str, *, engines: int = 2, kv_tokens: int = 4096, sink: Kept | None = None
):
    fleet = [SimulatedEngine(HARDWARE, id=f"e{n}", kv_tokens=kv_tokens) for n in range(engines)]
    return run_virtual(play(workload, fleet, make_policy(policy), sink=sink))


@pytest.mark.parametrize("policy", NAMES)
def test_every_policy_plays_the_same_tokens(policy: str) -> None:
    sink = Kept()
    result = run(WORKLOAD, policy, sink=sink)
    assert result.generated == WORKLOAD.generated
    assert result.turns == 2 * 3 + 3 * 2
    played = {(e.trajectory, e.turn): e.generated for e in sink.events if isinstance(e, TurnEnded)}
    assert played["g1.2", 1] == 7
    assert played["g2.1", 0] == 12
    assert min(result.first_token_s) > 0
    assert result.makespan_s == max(result.completed_s)
    assert sum(result.idle.values()) == pytest.approx(1.0)


def test_the_same_run_gives_the_same_figures() -> None:
    first, second = run(WORKLOAD, "headroom"), run(WORKLOAD, "headroom")
    assert first.makespan_s == second.makespan_s
    assert first.completed_s == second.completed_s


def test_with_room_for_all_nothing_but_parts_of_blocks_is_computed_twice() -> None:
    result = run(WORKLOAD, "sticky_least_loaded", engines=1, kv_tokens=1 << 16)
    assert result.prefill_computed >= prefill_needed(WORKLOAD)
    together = 5 * (WORKLOAD.system + 100)  # all five started before the first was through
    assert result.prefill_recomputed <= result.turns * HARDWARE.block_size + together


def test_the_scheduler_is_told_the_limit_and_not_the_length() -> None:
    asked: list[Request] = []

    class Overheard(SimulatedEngine):
        async def generate(self, request: Request):
            asked.append(request)
            return await super().generate(request)

    engine = Overheard(HARDWARE)
    run_virtual(play(WORKLOAD, [engine], make_policy("static")))
    assert {request.sampling.max_tokens for request in asked} == {30, 7, 50, 12, 1}  # below the scheduler


def test_a_trajectory_that_fails_ends_the_run_and_is_named() -> None:
    large = Workload(
        name="large",
        groups=[ScriptedGroup(900, [Script([ScriptedTurn(100)])])],
        max_context=1024,
        turn_limit=110,
    )
    with pytest.raises(HeadwayError, match=r"trajectory g1\.0 of the workload failed \(overload\)"):
        run(large, "headroom", kv_tokens=512)


def test_made_up_tokens_differ_between_things_and_are_in_any_vocabulary() -> None:
    things = [
        distinct(40, group, sibling, turn) for group in (0, 1, 600) for sibling in (0, 1) for turn in (0, 3)
    ]
    assert len({tuple(tokens) for tokens in things}) == len(things)
    assert all(1 <= token <= 499 for tokens in things for token in tokens)
    assert distinct(3, 1, 2, 3) == distinct(40, 1, 2, 3)[:3]


def test_a_workload_that_makes_trajectories_wait_can_be_recorded(tmp_path: Path) -> None:
    hardware = load_hardware("h100-14b")
    work = make_small_suite(
        "swe", seed=0, hardware=hardware, engines=2, kv_tokens=20000, pressure=2.0, groups=None
    )
    engines = [SimulatedEngine(hardware, id=f"e{n}", kv_tokens=20000) for n in range(2)]
    log = EventLog(
        tmp_path / "events.jsonl", Header(t=0, wall_ns=0, engines=["e0", "e1"], model="m", policy="headroom")
    )
    run_virtual(play(work, engines, make_policy("headroom"), sink=log))
    log.close()
    events = list(Reader(tmp_path / "events.jsonl"))
    assert sum(isinstance(event, TurnEnded) for event in events) == sum(
        len(script.turns) for group in work.groups for script in group.scripts
    )


def test_groups_begin_when_others_have_completed() -> None:
    sink = Kept()
    chain = msgspec.structs.replace(
        WORKLOAD,
        groups=[
            ScriptedGroup(100, [SHORT]),
            ScriptedGroup(100, [LONG]),
            ScriptedGroup(60, [SHORT], after=1, delay_s=3.0),
            ScriptedGroup(60, [SHORT], after=3),
        ],
    )
    run(chain, "headroom", sink=sink)
    began = {e.group: e.t for e in sink.events if isinstance(e, TrajectoryStarted)}
    ended = {e.trajectory[:2]: e.t for e in sink.events if isinstance(e, TrajectoryEnded)}
    assert began["g1"] == began["g2"] == 0
    assert began["g3"] == pytest.approx(min(ended["g1"], ended["g2"]) + 3 * 10**9)
    assert began["g4"] == max(ended["g1"], ended["g2"], ended["g3"])


def test_a_workload_whose_groups_wait_for_each_other_is_refused() -> None:
    work = msgspec.structs.replace(WORKLOAD, groups=[ScriptedGroup(100, [SHORT], after=1)])
    with pytest.raises(InputError, match="1 groups have to complete before the next one begins"):
        work.check()
