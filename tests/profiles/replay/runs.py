"""Runs to replay: workloads played on simulated engines in virtual time, with the log that they leave."""

import random
from pathlib import Path

import msgspec

from headway.engine.simulated import Hardware, SimulatedEngine
from headway.engine.simulated.hardware import StepTime
from headway.engine.step_record import StepRecord, record_file
from headway.profiles.closed_loop import play
from headway.profiles.event_log import EventLog, Header
from headway.profiles.loop_result import Result
from headway.profiles.run_steps import steps_folder
from headway.profiles.small_suites import make_small_suite
from headway.profiles.virtual_time import run_virtual
from headway.profiles.workload import Workload
from headway.scheduler import make_policy
from headway.scheduler.events import EngineStarted

HARDWARE = Hardware(
    name="hand-made",
    source="made up",
    measured=False,
    step=StepTime(fixed=0.01, prefill=4e-4, decode=5e-4, kv_read=1e-6, attention=1e-7),
    kv_tokens=12288,
    block_size=32,
    max_num_seqs=64,
    max_batched_tokens=2048,
    max_context=4096,
)


def workload(suite: str = "swe", *, pressure: float = 2.0, engines: int = 2) -> Workload:
    """A small suite."""
    return make_small_suite(
        suite,
        seed=0,
        hardware=HARDWARE,
        engines=engines,
        kv_tokens=HARDWARE.kv_tokens,
        pressure=pressure,
    )


def in_steps(whole: Workload, *, groups: int, pause_s: float) -> Workload:
    """The workload so many groups at a time: each batch begins a while after all before it have completed."""
    batched = [
        msgspec.structs.replace(group, after=number // groups * groups, delay_s=pause_s)
        for number, group in enumerate(whole.groups)
    ]
    return msgspec.structs.replace(whole, groups=batched)


def record(
    log: Path, played: Workload, *, policy: str = "headroom", engines: int = 2, facts: bool = True
) -> Result:
    """Play a workload, and leave its log; ``facts``: with what the engines are made of."""
    fleet = [SimulatedEngine(HARDWARE, id=f"engine-{number}") for number in range(engines)]
    ids = [engine.info.id for engine in fleet]
    events = EventLog(log, Header(t=0, wall_ns=0, engines=ids, model="models/m", policy=policy))
    for engine in fleet if facts else ():
        info = engine.info
        events.emit(
            EngineStarted(
                t=0,
                engine=info.id,
                kind=info.kind,
                version=info.version,
                device=info.device,
                kv_tokens=info.kv_tokens,
                block_size=info.block_size,
                max_context=info.max_context,
                max_num_seqs=HARDWARE.max_num_seqs,
            )
        )
    result = run_virtual(play(played, fleet, make_policy(policy), sink=events, name_blocks=True))
    events.close()
    return result


def record_steps(log: Path, *, until_s: float, count: int = 900, slower: float = 1.0) -> None:
    """Leave steps beside a log, as an engine of ``HARDWARE`` would take them."""
    draw = random.Random(0)
    folder = steps_folder(log)
    folder.mkdir()
    lines = [_step(draw, until_s * (number + 1) / count, slower) for number in range(count)]
    record_file(folder, "engine-0").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def _step(draw: random.Random, t: float, slower: float) -> StepRecord:
    decode, prefill = draw.randint(1, 12), draw.choice([0, 0, draw.randint(1, 2000)])
    work = {
        "prefill": prefill,
        "decode": decode,
        "kv_read": decode * draw.randint(100, 4000),
        "attention": prefill * draw.uniform(0, 3000),
    }
    seconds = HARDWARE.step.seconds(**work) * slower  # type: ignore[arg-type]
    return StepRecord(
        t=t, seconds=seconds, cpu_seconds=seconds, running=decode, waiting=0, preemptions=0, **work
    )
