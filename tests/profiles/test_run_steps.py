import asyncio
import time
from pathlib import Path

import msgspec
import pytest
import uvloop

from headway.engine.step_record import StepRecord, record_file
from headway.errors import InputError
from headway.profiles.run_steps import has_steps, read_run_steps, steps_folder
from headway.scheduler import events as ev
from tests.profiles.replay.runs import record, record_steps, workload
from tests.profiles.traces.logs import dispatched, ended, start, write

STARTED = ev.EngineStarted(
    t=0,
    engine="engine-0",
    kind="vllm",
    version="1",
    device="cpu",
    kv_tokens=4096,
    block_size=32,
    max_context=1024,
)


def test_the_event_loop_in_production_and_the_steps_have_one_clock() -> None:
    async def apart_s() -> float:
        differences = []
        for _ in range(20):
            await asyncio.sleep(0)
            differences.append(abs(time.monotonic() - ev.now_ns() / 1e9))
        return min(differences)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(apart_s()) < 0.01


def test_the_steps_of_a_run_are_those_beside_its_log(tmp_path: Path) -> None:
    result = record(tmp_path / "events.jsonl", workload(pressure=0.3))
    assert not has_steps(tmp_path / "events.jsonl")
    record_steps(tmp_path / "events.jsonl", until_s=result.makespan_s, count=100)
    run = read_run_steps(tmp_path)
    assert len(run.steps) == 100
    assert run.model == "models/m"
    assert [engine.kv_tokens for engine in run.engines] == [12288, 12288]
    assert run.weight_update_s is None


def test_steps_of_another_attempt_are_left_out(tmp_path: Path) -> None:
    log = write(tmp_path / "events.jsonl", [STARTED, ev.PhaseChanged(t=10_000_000_000, phase="idle", step=0)])
    record_steps(log, until_s=40.0, count=80)
    assert max(step.t for step in read_run_steps(log).steps) <= 11.0


def test_spans_are_of_one_length_in_time(tmp_path: Path) -> None:
    log = write(tmp_path / "events.jsonl", [STARTED, ev.PhaseChanged(t=90_000_000_000, phase="idle", step=0)])
    record_steps(log, until_s=90.0, count=91)
    spans = read_run_steps(log).spans(9)
    assert sum(len(span.steps) for span in spans) == 91
    assert {len(span.steps) for span in spans} <= {9, 10, 11}
    assert spans[1].name == "events.jsonl, span 2 of 9"
    assert min(step.t for step in spans[1].steps) > max(step.t for step in spans[0].steps)


def test_how_long_new_weights_took_is_read_from_the_log(tmp_path: Path) -> None:
    events = [STARTED]
    for begin, seconds in ((1, 2), (10, 4), (20, 3)):
        for t, state in ((begin, "weight_sync"), (begin + seconds, "ready")):
            events.append(ev.EngineChanged(t=t * 10**9, engine="engine-0", state=state))
    log = write(tmp_path / "events.jsonl", events)
    record_steps(log, until_s=20.0, count=60)
    assert read_run_steps(log).weight_update_s == 3.0


def test_what_of_a_turn_no_step_worked_on_is_its_way_to_the_engine_and_back(tmp_path: Path) -> None:
    second = 10**9
    turn = [start(second, "g1.0"), dispatched(second, "g1.0", 0), ended(4 * second, "g1.0", 0, 8, 5)]
    log = write(tmp_path / "events.jsonl", [STARTED, *turn])
    step = StepRecord(
        t=2.0,
        seconds=0.5,
        cpu_seconds=0.1,
        prefill=8,
        decode=1,
        kv_read=0,
        attention=0.0,
        running=1,
        waiting=1,
        preemptions=0,
    )
    steps_folder(log).mkdir()
    record_file(steps_folder(log), "engine-0").write_bytes(msgspec.json.encode(step) + b"\n")
    assert read_run_steps(log).under_way_s == pytest.approx(3.0 - 3 * 0.5)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    log = write(tmp_path / "events.jsonl", [ev.PhaseChanged(t=5, phase="idle", step=0)])
    with pytest.raises(InputError, match=r"no steps are recorded beside it .*step_record = true"):
        read_run_steps(log)
    record_steps(log, until_s=1.0, count=60)
    with pytest.raises(InputError, match="does not say what its engines are made of"):
        read_run_steps(log)
    late = write(tmp_path / "events-2.jsonl", [STARTED])
    for file in steps_folder(late).iterdir():
        file.write_bytes(file.read_bytes().splitlines(keepends=True)[-1].replace(b'"t":1.0', b'"t":99.0'))
    with pytest.raises(InputError, match="no step in it is of the time of events-2"):
        read_run_steps(late)
    assert record_file(steps_folder(late), "engine-0").is_file()
