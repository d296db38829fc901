import asyncio
import itertools
from pathlib import Path

import msgspec
import pytest

from headway.engine import EngineConfig, Fleet
from headway.engine.step_record import StepRecord, StepWork, read_steps, record_file, record_files
from headway.errors import InputError
from tests.engine.contract import turn

STEP = StepRecord(
    t=1.0,
    seconds=0.5,
    cpu_seconds=0.25,
    prefill=3,
    decode=2,
    kv_read=70,
    attention=4.5,
    running=3,
    waiting=0,
    preemptions=0,
)


def test_a_chunk_of_prefill_is_counted_with_its_mean_context() -> None:
    work = StepWork()
    work.add(10, context=100, decodes=False)
    work.add(1, context=64, decodes=True)
    work.add(1, context=32, decodes=True)
    assert work == StepWork(prefill=10, decode=2, kv_read=96, attention=10 * 105)


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    file = record_file(tmp_path, "engine-0")
    line = msgspec.json.encode(STEP) + b"\n"
    file.write_bytes(line + line[:20])
    assert record_files(tmp_path) == [file]
    assert list(read_steps(file)) == [STEP]


def test_a_line_that_is_no_step_is_named(tmp_path: Path) -> None:
    file = record_file(tmp_path, "engine-0")
    file.write_bytes(msgspec.json.encode(STEP) + b"\n{}\n")
    with pytest.raises(InputError, match=r"engine-0\.steps\.jsonl:2: not a step"):
        list(read_steps(file))


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="start"):
        record_files(tmp_path)


@pytest.mark.vllm
async def test_an_engine_records_every_step(tiny_model: Path, tmp_path: Path) -> None:
    config = EngineConfig(
        model=str(tiny_model),
        kv_tokens=1024,
        max_num_seqs=4,
        max_batched_tokens=64,
        step_record=str(tmp_path),
    )
    async with Fleet(config, engines=1, log_dir=tmp_path) as fleet:
        engine = fleet.engines[0]
        first = await engine.generate(turn(length=100, max_tokens=16))
        alone = list(read_steps(record_file(tmp_path, "engine-0")))
        again = [turn(length=20, max_tokens=300, first=number) for number in range(2, 6)]
        generations = await asyncio.gather(*(engine.generate(request) for request in again))
    assert [step.prefill for step in alone[:2]] == [64, 36]
    assert [step.attention for step in alone[:2]] == [64 * 32, 36 * (64 + 18)]
    assert [step.kv_read for step in alone[2:]] == list(range(100, 115))
    assert all(step.decode == 1 for step in alone[2:])
    assert len(first.tokens) == 16
    steps = list(read_steps(record_file(tmp_path, "engine-0")))
    assert sum(step.preemptions for step in steps) == sum(g.preemptions for g in generations) > 0
    assert max(step.decode for step in steps) > 1
    assert all(step.seconds > 0 and step.cpu_seconds > 0 for step in steps)
    # No moment is counted twice, and the time between the two loads not at all.
    assert all(before.t <= step.t - step.seconds + 1e-9 for before, step in itertools.pairwise(steps))
    assert steps[-1].running == steps[-1].waiting == 0
