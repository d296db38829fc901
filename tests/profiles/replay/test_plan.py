import json
from pathlib import Path

import msgspec
import pytest

from headway.errors import InputError
from headway.profiles.replay.plan import Asked, Plan, make_plan, policies_of
from headway.profiles.traces import TraceOptions
from headway.scheduler.policies import NAMES

from .runs import HARDWARE, record, record_steps, workload

LATER = [[9, 6000, 100, 5000, 1, 90.0, ""], [99, 7000, 50, 0, 1, 5, ""]]


def sessions(folder: Path) -> Path:
    """Three, each with a first turn of its own length."""
    lines = [
        {
            "id": str(number),
            "tool_tokens": 100,
            "system_tokens": 100,
            "turns": [[0, 5000, 200 + number, 0, 1, 0, ""], *LATER],
        }
        for number in range(3)
    ]
    file = folder / "sessions.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def plan(trace: Path, *, options: TraceOptions | None = None, **asked: object) -> Plan:
    return make_plan(Asked(trace=trace, options=options or TraceOptions(), **asked))  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    record(tmp_path / "events.jsonl", workload(pressure=0.3), policy="thunder", engines=3)
    return tmp_path


def test_a_recorded_run_is_played_as_it_was(run: Path) -> None:
    made = plan(run, hardware=HARDWARE)
    [scene] = made.scenes
    assert made.policies == ["thunder"]
    assert list(scene.engines.kv_tokens) == ["engine-0", "engine-1", "engine-2"]
    assert set(scene.engines.kv_tokens.values()) == {HARDWARE.kv_tokens}
    assert scene.engines.hardware.block_size == HARDWARE.block_size
    assert made.recorded is not None


def test_other_traces_have_defaults(tmp_path: Path) -> None:
    made = plan(sessions(tmp_path))
    assert made.policies == ["headroom", "sticky_least_loaded", "thunder"]
    assert [scene.engines.count for scene in made.scenes] == [8]
    assert made.engines.hardware.name == "h100-14b"
    assert made.recorded is None
    assert len(made.scenes[0].workload.groups) == 3


def test_all_fleets_get_the_same_work(tmp_path: Path) -> None:
    made = plan(sessions(tmp_path), engines=[4, 1, 4], pressure=2.0, seeds=2, kv_tokens=16384)
    assert [(scene.engines.count, scene.seed) for scene in made.scenes] == [(1, 0), (1, 1), (4, 0), (4, 1)]
    small, other_seed, large, _ = made.scenes
    assert small.workload == large.workload != other_seed.workload
    assert small.engines.usual_kv_tokens == 16384
    assert "pressure 2 on 4 engines" in small.workload.notes


def test_auto_tries_smaller_fleets_and_a_larger_one(run: Path) -> None:
    assert [scene.engines.count for scene in plan(run, hardware=HARDWARE, auto=True).scenes] == [1, 3, 6]


def test_work_that_was_changed_is_not_held_against_the_recorded(run: Path) -> None:
    assert plan(run, hardware=HARDWARE, options=TraceOptions(clip_s=0.1)).recorded is None
    assert plan(run, hardware=HARDWARE, kv_tokens=1024).recorded is None
    assert plan(run, hardware=HARDWARE, pressure=1.0).recorded is None
    assert plan(run, hardware=HARDWARE, kv_tokens=8192).recorded is not None


def test_contexts_that_no_engine_can_hold_are_cut_or_scaled_and_that_is_said(tmp_path: Path) -> None:
    file = sessions(tmp_path)
    for too_long in ("cut", "scale"):
        made = plan(file, kv_tokens=6400, options=TraceOptions(too_long=too_long))  # type: ignore[arg-type]
        [scene] = made.scenes
        assert scene.workload.max_context == 6400
        assert too_long in made.notes[0]
        scene.workload.check()


def test_the_hardware_of_a_run_is_fitted_to_its_own_steps(run: Path) -> None:
    guess = plan(run)
    assert "which is a guess" in guess.notes[0]
    record_steps(run / "events.jsonl", until_s=1.0)
    made = plan(run)
    assert made.engines.hardware.step.prefill == pytest.approx(HARDWARE.step.prefill, rel=0.01)
    assert made.notes[0] == "step times fitted to the run's own steps"


def test_a_simulated_run_has_the_hardware_that_it_ran_on(run: Path) -> None:
    log = run / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"hand-made"', b'"cpu-tiny"'))
    assert plan(run).engines.hardware.name == "cpu-tiny"


def test_chats_are_timed_anew_for_every_seed(tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "python", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "what is " * 50},
        {"role": "assistant", "content": "let me see", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "4"},
        {"role": "assistant", "content": "it is 4"},
    ]
    file = tmp_path / "chats.jsonl"
    file.write_bytes(msgspec.json.encode({"messages": messages}) + b"\n")
    options = TraceOptions(latency=("lognormal:median=2,sigma=1",))
    first, second = (scene.workload for scene in plan(file, options=options, seeds=2).scenes)
    assert first.groups[0].scripts[0].turns[0].tool_s != second.groups[0].scripts[0].turns[0].tool_s


def test_all_means_every_policy() -> None:
    assert policies_of(["capped:limit=3", "all"])[0] == "capped:limit=3"
    assert policies_of(["all", "headroom"]) == list(NAMES)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"policies": ["best"]}, "no policy is named 'best'"),
        ({"policies": []}, "--policies names none"),
        ({"pressure": 0.0}, "--pressure 0: give a number above 0"),
        ({"pressure": float("nan")}, "--pressure nan"),
        ({"engines": [0]}, "--engines 0: at least one engine"),
        ({"kv_tokens": 3}, "less than one block of 16 tokens"),
        ({"kv_tokens": 4096}, "an engine of h100-14b holds contexts of 4096 tokens at most, and no"),
        ({"seeds": 2}, "--seeds 2: the whole trace comes to the same every time"),
    ],
)
def test_what_cannot_be_played_is_refused(tmp_path: Path, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan(sessions(tmp_path), **wrong)


def test_a_policy_of_the_run_that_there_is_no_more_is_said(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    record(log, workload(pressure=0.3))
    log.write_bytes(log.read_bytes().replace(b'"policy":"headroom"', b'"policy":"foresight"', 1))
    with pytest.raises(InputError, match="no policy is named 'foresight'"):
        plan(log)
