from pathlib import Path

import msgspec
import pytest

from headway.engine import EngineStats
from headway.engine.simulated import SimulatedEngine
from headway.engine.step_record import StepRecord, record_file
from headway.errors import InputError
from headway.profiles.calibration import Load, StepRun, record_runs, steps_between
from headway.profiles.hardware_profiles import load_hardware
from headway.profiles.virtual_time import run_virtual

LOADS = [Load(clients=2, turns=2), Load(clients=3, turns=1)]


def write_steps(folder: Path, engine: str, *times: float) -> None:
    steps = [
        StepRecord(
            t=t,
            seconds=0.1,
            cpu_seconds=0.1,
            prefill=0,
            decode=1,
            kv_read=10,
            attention=0.0,
            running=1,
            waiting=0,
            preemptions=0,
        )
        for t in times
    ]
    record_file(folder, engine).write_bytes(b"".join(msgspec.json.encode(step) + b"\n" for step in steps))


def test_a_run_has_the_steps_of_all_engines_between_two_moments(tmp_path: Path) -> None:
    write_steps(tmp_path, "engine-0", 1.0, 2.0, 3.0)
    write_steps(tmp_path, "engine-1", 2.5, 9.0)
    assert sorted(step.t for step in steps_between(tmp_path, 1.0, 3.0)) == [2.0, 2.5, 3.0]


def test_engines_that_do_not_record_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="step_record"):
        steps_between(tmp_path, 0.0)


def run_loads(folder: Path, seed: int) -> tuple[list[StepRun], list[EngineStats]]:
    async def run() -> tuple[list[StepRun], list[EngineStats]]:
        engines = [SimulatedEngine(load_hardware("cpu-tiny"), id=f"engine-{number}") for number in range(2)]
        runs = [run async for run in record_runs(engines, folder, LOADS, seed=seed)]
        return runs, [engine.stats() for engine in engines]

    return run_virtual(run())


def test_every_load_is_put_on_every_engine(tmp_path: Path) -> None:
    write_steps(tmp_path, "engine-0", 1e18)
    runs, stats = run_loads(tmp_path, seed=0)
    assert [run.name for run in runs] == ["run 1, 2 clients", "run 2, 3 clients"]
    assert all(engine.generated_tokens >= 7 * 20 for engine in stats)
    assert all(engine.cached_tokens > 0 for engine in stats)


def test_loads_depend_on_the_seed_alone(tmp_path: Path) -> None:
    write_steps(tmp_path, "engine-0", 1e18)
    first, again, other = (run_loads(tmp_path, seed=seed)[1] for seed in (0, 0, 1))
    assert first == again != other
