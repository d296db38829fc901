import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.engine.simulated import SimulatedEngine
from headway.engine.simulated.hardware import Hardware, StepTime
from headway.profiles.bound import lower_bound
from headway.profiles.closed_loop import play
from headway.profiles.virtual_time import run_virtual
from headway.profiles.workload import Script, ScriptedGroup, ScriptedTurn, Workload
from headway.scheduler import make_policy
from headway.scheduler.policies import NAMES

KV_TOKENS = 640
_ROUNDING = 1 - 1e-7

turns = st.lists(
    st.builds(
        ScriptedTurn,
        st.integers(1, 40),
        st.sampled_from([0.0, 0.05, 0.4, 3.0]),
        st.integers(1, 60),
    ),
    min_size=1,
    max_size=4,
)
workloads = st.builds(
    lambda groups, system: Workload(
        name="random", groups=groups, max_context=KV_TOKENS, turn_limit=40, system=system
    ),
    st.lists(
        st.builds(
            ScriptedGroup, st.integers(1, 90), st.lists(st.builds(Script, turns), min_size=1, max_size=6)
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([0, 5, 70]),
)
machines = st.builds(
    lambda fixed, prefill, decode, kv_read, attention, seqs, batched: Hardware(
        name="random",
        source="made up",
        measured=False,
        step=StepTime(fixed=fixed, prefill=prefill, decode=decode, kv_read=kv_read, attention=attention),
        kv_tokens=KV_TOKENS,
        max_num_seqs=seqs,
        max_batched_tokens=batched,
    ),
    st.sampled_from([0.0, 1e-4, 1e-2]),
    st.sampled_from([1e-5, 1e-3]),
    st.sampled_from([0.0, 1e-3]),
    st.sampled_from([0.0, 1e-6, 1e-5]),  # no more than to prefill: else to preempt would save reading
    st.sampled_from([0.0, 1e-6]),
    st.sampled_from([2, 64]),
    st.sampled_from([64, 2048]),
)


def makespan(workload: Workload, hardware: Hardware, engines: int, policy: str) -> float:
    fleet = [SimulatedEngine(hardware, id=f"engine-{number}") for number in range(engines)]
    return run_virtual(play(workload, fleet, make_policy(policy))).makespan_s


@pytest.mark.parametrize("policy", NAMES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workload=workloads, hardware=machines, engines=st.integers(1, 3))
def test_no_policy_beats_the_bound(policy: str, workload: Workload, hardware: Hardware, engines: int) -> None:
    bound = lower_bound(workload, hardware, engines=engines)
    assert makespan(workload, hardware, engines, policy) >= bound.seconds * _ROUNDING


STEP = StepTime(fixed=0.01, prefill=1e-4, decode=0.0, kv_read=0.0)
MACHINE = Hardware(name="round", source="made up", measured=False, step=STEP, kv_tokens=1000)


def test_one_trajectory_takes_just_its_critical_path() -> None:
    script = Script([ScriptedTurn(11, 2.0, 100), ScriptedTurn(5)])
    workload = Workload(name="one", groups=[ScriptedGroup(200, [script])], max_context=1000, turn_limit=50)
    bound = lower_bound(workload, MACHINE, engines=1)
    assert bound.critical_path_s == pytest.approx(0.02 + 0.11 + 2.0 + 0.01 + 0.05)
    assert bound.reason == "critical path"


def test_what_does_not_fit_together_takes_more_steps() -> None:
    groups = [ScriptedGroup(400, [Script([ScriptedTurn(100)])]) for _ in range(8)]
    workload = Workload(name="wide", groups=groups, max_context=1000, turn_limit=100)
    bound = lower_bound(workload, MACHINE, engines=1)
    tokens = sum(400 + position for position in range(100))
    assert bound.kv_s == pytest.approx(0.01 * 8 * tokens / 1000 + 0.0001 * 3200, rel=1e-3)
    assert bound.reason == "kv"


def test_siblings_share_their_prompt() -> None:
    scripts = [Script([ScriptedTurn(10)]) for _ in range(8)]
    shared = Workload(name="a", groups=[ScriptedGroup(400, scripts)], max_context=1000, turn_limit=100)
    apart = Workload(
        name="b", groups=[ScriptedGroup(400, [s]) for s in scripts], max_context=1000, turn_limit=100
    )
    assert lower_bound(shared, MACHINE, engines=1).kv_s < lower_bound(apart, MACHINE, engines=1).kv_s / 4


def test_long_tool_waits_cost_space_or_prefill() -> None:
    def waiting(seconds: float) -> Workload:
        script = Script([ScriptedTurn(10, seconds, 10), ScriptedTurn(10, seconds, 10), ScriptedTurn(10)])
        groups = [ScriptedGroup(400, [script]) for _ in range(40)]
        return Workload(name="tools", groups=groups, max_context=1000, turn_limit=100)

    short, long = (lower_bound(waiting(seconds), MACHINE, engines=1) for seconds in (0.0, 2.0))
    assert long.kv_s > 1.2 * short.kv_s
