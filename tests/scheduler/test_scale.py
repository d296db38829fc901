"""The scheduler at the size of a large run; nothing here has a limit of wall-clock time.

``HEADWAY_TEST_AGENTS=45000 pytest tests/scheduler/test_scale.py -k agents`` runs as many agents at once.
"""

import gc
import os
import random
import sys
import tracemalloc
from collections.abc import Sequence

import pytest

from headway.engine.simulated import SimulatedEngine
from headway.profiles.closed_loop import play
from headway.profiles.hardware_profiles import load_hardware
from headway.profiles.virtual_time import run_virtual
from headway.profiles.workload import Script, ScriptedGroup, ScriptedTurn, Workload
from headway.scheduler import make_policy
from headway.scheduler.dispatcher import Decision, Dispatch, Dispatcher
from headway.scheduler.events import Event, TrajectoryEnded, TrajectoryStarted
from headway.scheduler.ledger import Capacity

AGENTS = int(os.environ.get("HEADWAY_TEST_AGENTS", "2000"))
ENGINES = 1024


class Load:
    """Trajectories in groups of 32 that grow from 500 tokens, on engines with room for some of them."""

    def __init__(self, kv_tokens: int) -> None:
        self.rng = random.Random(1)
        self.now = 0.0
        engines = {f"e{number}": Capacity(kv_tokens, 16) for number in range(ENGINES)}
        self.core = Dispatcher(engines, make_policy("headroom"), clock=lambda: self.now)
        self.context: dict[str, int] = {}
        self.turns: dict[str, int] = {}
        self.running: list[str] = []
        self.in_tools: list[str] = []

    def add(self, trajectories: int) -> None:
        """All of them want their first turn."""
        for number in range(trajectories):
            id = f"g{number // 32}.{number % 32}"
            self.context[id], self.turns[id] = 500, 0
            self.want_turn(id)

    def want_turn(self, id: str) -> None:
        self.now += 1e-4
        limit = 4096
        group = id.partition(".")[0]
        self.take(
            self.core.turn_ready(id, group=group, prompt=500, context=self.context[id], turn_limit=limit)
        )

    def take(self, decisions: Sequence[Decision]) -> None:
        self.running += [d.trajectory for d in decisions if isinstance(d, Dispatch)]

    def end_turn(self) -> str:
        """One of the running turns, drawn at random, ends."""
        self.now += 1e-3
        place = self.rng.randrange(len(self.running))
        self.running[place], self.running[-1] = self.running[-1], self.running[place]
        id = self.running.pop()
        self.context[id] += self.rng.randint(500, 2500)
        self.turns[id] += 1
        self.take(self.core.turn_ended(id, context=self.context[id]))
        return id

    def play(self, turns: int) -> int:
        """Let every trajectory take so many turns; says how many ended."""
        ended = 0
        while self.running or self.in_tools:
            if self.in_tools and (not self.running or self.rng.random() < 0.5):
                id = self.in_tools.pop(self.rng.randrange(len(self.in_tools)))
                self.context[id] += 300
                self.want_turn(id)
                continue
            id = self.end_turn()
            if self.turns[id] < turns:
                self.in_tools.append(id)
            else:
                self.take(self.core.ended(id, failed=False))
                ended += 1
        return ended


@pytest.mark.slow
def test_45000_live_trajectories_on_1024_engines_all_come_to_their_end() -> None:
    load = Load(kv_tokens=65_536)
    load.add(45_000)
    fleet = load.core.fleet
    assert fleet.live == 45_000
    assert len(fleet.waiting) > 1000  # they do not all fit
    assert load.play(turns=2) == 45_000
    assert fleet.live == len(fleet.waiting) == 0
    for array in (fleet.ledger.tokens, fleet.ledger.counted, fleet.turns, fleet.growth, fleet.held_tokens):
        assert not array.any()


def test_a_trajectory_takes_at_most_two_kilobytes_of_the_core() -> None:
    trajectories = 5000
    load = Load(kv_tokens=16_384)
    tracemalloc.start()
    try:
        load.add(trajectories)
        for _ in range(2000):
            load.in_tools.append(load.end_turn())
        gc.collect()
        taken = _core_bytes()
    finally:
        tracemalloc.stop()
    assert load.core.live == trajectories
    assert 100 < taken / trajectories <= 2048, f"{taken / trajectories:.0f} bytes a trajectory"


def _core_bytes() -> int:
    """What was allocated in the core's modules, and in what they are made of, and is still held."""
    modules = ("*/scheduler/*", "*/sortedcontainers/*", "<string>")  # the last: methods of dataclasses
    core = [tracemalloc.Filter(True, module) for module in modules]
    found = tracemalloc.take_snapshot().filter_traces([*core, tracemalloc.Filter(False, __file__)])
    return sum(entry.size for entry in found.statistics("filename"))


class Live:
    """An event sink that knows the most trajectories that were live at once, and how each ended."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.ends: list[str] = []

    def emit(self, event: Event) -> None:
        if isinstance(event, TrajectoryStarted):
            self.now += 1
            self.most = max(self.most, self.now)
        elif isinstance(event, TrajectoryEnded):
            self.now -= 1
            self.ends.append(event.status)


def test_many_agents_at_once_all_finish() -> None:
    rng = random.Random(5)

    def script() -> Script:
        turns = [ScriptedTurn(rng.randint(20, 200), rng.uniform(0.1, 4.0), rng.randint(10, 200))]
        return Script([*turns * rng.randint(1, 4), ScriptedTurn(rng.randint(20, 200))])

    groups = [
        ScriptedGroup(rng.randint(100, 600), [script() for _ in range(min(16, AGENTS - start))])
        for start in range(0, AGENTS, 16)
    ]
    workload = Workload(name="many", groups=groups, max_context=4096, turn_limit=512)
    hardware = load_hardware("h100-14b")
    count = max(AGENTS // 44, 2)  # as 45,000 on 1,024; caches so small that many wait
    engines = [SimulatedEngine(hardware, id=f"e{number}", kv_tokens=16_384) for number in range(count)]
    live = Live()
    result = run_virtual(play(workload, engines, make_policy("headroom"), sink=live))
    assert live.most == AGENTS
    assert live.ends == ["finished"] * AGENTS
    assert result.generated == workload.generated
    assert sum(waited > 0 for waited in result.admission_wait_s) > AGENTS / 10
    print(f"{AGENTS} agents on {count} engines: {result.decision_us:.0f} us a decision", file=sys.stderr)
