"""A replay of a run that was just recorded, on the engines that it ran on, is that run again."""

from pathlib import Path

import pytest

from headway.engine.simulated.hardware import Hardware, StepTime
from headway.profiles.cause import Cause
from headway.profiles.replay.check import Check, check_on, error_text
from headway.profiles.replay.figures import Figures
from headway.profiles.workload import Workload

from .runs import HARDWARE, in_steps, record, workload

STEPWISE = in_steps(workload("search", pressure=3.0), groups=4, pause_s=2.5)


@pytest.mark.parametrize(
    ("policy", "played"),
    [
        ("headroom", workload("swe")),
        ("headroom", workload("math")),
        ("headroom", STEPWISE),
        ("thunder", workload("swe")),
        ("progress_ttl", workload("search")),
        ("sticky_least_loaded", workload("math")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_it_takes_as_long_and_idles_for_the_same_causes(
    tmp_path: Path, policy: str, played: Workload
) -> None:
    result = record(tmp_path / "events.jsonl", played, policy=policy)
    check = check_on(tmp_path, HARDWARE)
    assert check.policy == policy
    assert check.replayed.makespan_s == pytest.approx(check.recorded.makespan_s, rel=0.01)
    for cause in Cause:
        assert check.replayed.idle.get(cause, 0.0) == pytest.approx(
            check.recorded.idle.get(cause, 0.0), abs=0.05
        ), cause
    assert check.replayed.generated == check.recorded.generated == result.generated
    assert check.replayed.preemptions == check.recorded.preemptions == result.preemptions
    assert check.replayed.first_token_p99_s == pytest.approx(check.recorded.first_token_p99_s, rel=0.01)


def test_slower_hardware_shows_in_the_error(tmp_path: Path) -> None:
    record(tmp_path / "events.jsonl", workload("math", pressure=1.0))
    twice = StepTime(**{name: 2 * getattr(HARDWARE.step, name) for name in StepTime.__struct_fields__})
    slow = Hardware(name="slow", source="", measured=False, step=twice, kv_tokens=12288, block_size=32)
    check = check_on(tmp_path, slow)
    assert 0.5 < check.error < 1.1
    assert check.idle_error > 0


def figures(makespan_s: float, busy: float) -> Figures:
    return Figures(
        makespan_s=makespan_s,
        turns=1,
        generated=10,
        prompt=10,
        cached=5,
        preemptions=0,
        first_token_p50_s=1.0,
        first_token_p99_s=1.0,
        idle={"busy": busy, "tool_wait": 1 - busy},
    )


def test_the_error_is_that_of_the_worst_run() -> None:
    checks = [
        Check(name=name, policy="static", recorded=figures(100.0, 0.5), replayed=figures(makespan_s, busy))
        for name, makespan_s, busy in (("one", 101.0, 0.6), ("two", 97.0, 0.5))
    ]
    assert error_text(checks, fitted=False) == (
        "makespan of 2 runs that it was not fitted to, replayed: off by -3.0%; the share of a cause of idle "
        "time: by at most 10.0 points"
    )
    assert error_text(checks[:1], fitted=False).startswith("makespan of a run that it was not fitted to")
