"""One row of the benchmark's result: how one policy did in one cell."""

import msgspec

from ..loop_result import Result
from .cell import Cell, Task


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one policy in one cell. The first thirteen keys are the ones that others may rely on."""

    suite: str
    engines: int
    pressure: float
    seed: int
    policy: str
    makespan_s: float
    bound_s: float
    tokens_per_s: float
    prefill_recomputed: int
    preemptions: int
    hit_rate: float
    first_token_p99_s: float
    decision_us: float
    reached_pressure: float
    bound_by: str
    groups: int
    trajectories: int
    turns: int
    generated: int
    prefill_computed: int
    parked: int
    first_token_p50_s: float
    trajectory_p50_s: float
    trajectory_p95_s: float
    trajectory_p99_s: float
    group_p50_s: float
    group_p95_s: float
    group_p99_s: float
    admission_wait_p50_s: float
    admission_wait_p99_s: float
    engine_queue_s: float
    idle: dict[str, float]
    limit: int | None = None  # of a row that is the best of a sweep: the limit that was best

    @property
    def to_bound(self) -> float:
        """The makespan as a multiple of the bound."""
        return self.makespan_s / self.bound_s


class Measured(msgspec.Struct, frozen=True):
    """A row, and the first-token times of all trajectories, in an order that is the same for every policy."""

    cell: Cell
    row: Row
    first_token_s: list[float]


def make_row(cell: Cell, policy: str, task: Task, result: Result) -> Row:
    """Sum a result up."""
    return Row(
        suite=cell.suite,
        engines=cell.engines,
        pressure=cell.pressure,
        seed=cell.seed,
        policy=policy,
        makespan_s=result.makespan_s,
        bound_s=task.bound.seconds,
        tokens_per_s=result.tokens_per_s,
        prefill_recomputed=result.prefill_recomputed,
        preemptions=result.preemptions,
        hit_rate=result.hit_rate,
        first_token_p99_s=quantile(result.first_token_s, 0.99),
        decision_us=result.decision_us,
        reached_pressure=task.pressure,
        bound_by=task.bound.reason,
        groups=len(task.workload.groups),
        trajectories=task.workload.trajectories,
        turns=result.turns,
        generated=result.generated,
        prefill_computed=result.prefill_computed,
        parked=result.parked,
        first_token_p50_s=quantile(result.first_token_s, 0.5),
        trajectory_p50_s=quantile(result.completed_s, 0.5),
        trajectory_p95_s=quantile(result.completed_s, 0.95),
        trajectory_p99_s=quantile(result.completed_s, 0.99),
        group_p50_s=quantile(result.group_completed_s, 0.5),
        group_p95_s=quantile(result.group_completed_s, 0.95),
        group_p99_s=quantile(result.group_completed_s, 0.99),
        admission_wait_p50_s=quantile(result.admission_wait_s, 0.5),
        admission_wait_p99_s=quantile(result.admission_wait_s, 0.99),
        engine_queue_s=result.engine_queue_s,
        idle=result.idle,
    )


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(-int(-share * len(ordered) // 1) - 1, 0)] if ordered else 0.0
