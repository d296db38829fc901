"""Rows made by hand, for tests of what is made of rows."""

from headway.engine.simulated.hardware import Hardware, StepTime
from headway.profiles.bench.cell import Cell
from headway.profiles.bench.row import Measured, Row

HARDWARE = Hardware(
    name="hand-made",
    source="made up",
    measured=False,
    step=StepTime(fixed=0.01, prefill=4e-5, decode=1e-5, kv_read=6e-8),
    kv_tokens=200_000,
)


def cell(suite: str = "math", pressure: float = 1.0, *, engines: int = 2, seed: int = 0) -> Cell:
    return Cell(
        suite=suite,
        pressure=pressure,
        engines=engines,
        seed=seed,
        hardware=HARDWARE,
        kv_tokens=HARDWARE.kv_tokens,
    )


def measured(
    policy: str, makespan_s: float, where: Cell, *, first_token_s: list[float] | None = None
) -> Measured:
    row = Row(
        suite=where.suite,
        engines=where.engines,
        pressure=where.pressure,
        seed=where.seed,
        policy=policy,
        makespan_s=makespan_s,
        bound_s=100.0,
        tokens_per_s=10.0,
        prefill_recomputed=5,
        preemptions=0,
        hit_rate=0.5,
        first_token_p99_s=3.0,
        decision_us=20.0,
        reached_pressure=where.pressure,
        bound_by="kv",
        groups=1,
        trajectories=2,
        turns=4,
        generated=1000,
        prefill_computed=50,
        parked=0,
        first_token_p50_s=1.0,
        trajectory_p50_s=1.0,
        trajectory_p95_s=1.0,
        trajectory_p99_s=1.0,
        group_p50_s=1.0,
        group_p95_s=1.0,
        group_p99_s=1.0,
        admission_wait_p50_s=0.0,
        admission_wait_p99_s=0.0,
        engine_queue_s=0.0,
        idle={"busy": 1.0},
    )
    return Measured(where, row, first_token_s or [1.0, 2.0])
