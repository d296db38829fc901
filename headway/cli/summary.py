"""The run's summary, as ``summary.json`` holds it: rewritten whole after every step, so it is never torn."""

import math
from collections import Counter
from pathlib import Path

import msgspec

from headway.engine import EngineInfo
from headway.profiles.cause import Cause
from headway.trainer.collapse import Alarm
from headway.trainer.loop_observer import Evaluation, GrpoStep

from .output_file import write_json
from .recorder import Spent


class EngineSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One engine of the run."""

    id: str
    kind: str
    version: str
    kv_tokens: int


class StepSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One step. For every engine the nanoseconds in ``idle`` (``busy`` among them) sum to ``wall_ns``."""

    step: int
    stage: str
    trajectories: int
    groups: int
    kept: int
    pass_at_1: float
    tool_error_in_correct: float
    generated_tokens: int
    seconds: float
    tokens_per_s: float
    preemptions: int
    weight_version: int
    logprob_max_abs_diff: float | None
    idle: dict[str, dict[str, int]]
    wall_ns: int


class EvalSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation on held-out tasks."""

    step: int
    n: int
    pass_at_1: float
    tool_error_in_correct: float


class Trajectories(msgspec.Struct, kw_only=True):
    """Every trajectory started is finished or failed."""

    started: int = 0
    finished: int = 0
    failed: int = 0


class Summary(msgspec.Struct, kw_only=True):
    """All that a run has to say of itself."""

    headway: str
    model: str
    policy: str
    sandbox_tier: str = ""
    complete: bool = False
    engines: list[EngineSummary] = []
    steps: list[StepSummary] = []
    eval: list[EvalSummary] = []
    alarms: list[Alarm] = []
    trajectories: Trajectories = msgspec.field(default_factory=Trajectories)
    logprob_max_abs_diff: float = 0.0
    idle: dict[str, dict[str, int]] = {}
    wall_ns: int = 0

    def add_engines(self, engines: list[EngineInfo]) -> None:
        """Note the fleet."""
        self.engines = [
            EngineSummary(id=e.id, kind=e.kind, version=e.version, kv_tokens=e.kv_tokens) for e in engines
        ]

    def add_step(self, step: GrpoStep, idle: Spent, wall_ns: int) -> StepSummary:
        """Note a step and where the engines' time went in it."""
        seconds = step.rollout_s + step.train_s + step.sync_s
        diff = step.update.logprob_max_abs_diff if step.update else None
        summary = StepSummary(
            step=step.step,
            stage=step.stage,
            trajectories=step.measures.trajectories,
            groups=step.groups,
            kept=step.kept,
            pass_at_1=step.measures.pass_at_1,
            tool_error_in_correct=step.measures.tool_error_in_correct,
            generated_tokens=step.measures.generated_tokens,
            seconds=seconds,
            tokens_per_s=step.measures.generated_tokens / seconds,
            preemptions=step.measures.preemptions,
            weight_version=step.weight_version,
            logprob_max_abs_diff=diff,
            idle=plain(idle),
            wall_ns=wall_ns,
        )
        self.steps.append(summary)
        if diff is not None:  # a NaN, once seen, stays
            self.logprob_max_abs_diff = diff if math.isnan(diff) else max(self.logprob_max_abs_diff, diff)
        return summary

    def add_evaluation(self, evaluation: Evaluation) -> EvalSummary:
        """Note an evaluation."""
        summary = EvalSummary(
            step=evaluation.step,
            n=evaluation.n,
            pass_at_1=evaluation.measures.pass_at_1,
            tool_error_in_correct=evaluation.measures.tool_error_in_correct,
        )
        self.eval.append(summary)
        return summary

    def set_idle(
        self, before: dict[str, dict[str, int]], wall_before_ns: int, idle: Spent, wall_ns: int
    ) -> None:
        """Note where the engines' time went in the whole run: before it was resumed, and since.

        An engine that was not there before, or is no more, was down then.
        """
        self.wall_ns = wall_before_ns + wall_ns
        now = plain(idle)
        gone, new = {Cause.DOWN.value: wall_ns}, {Cause.DOWN.value: wall_before_ns}
        self.idle = {
            engine: dict(+(Counter(before.get(engine, new)) + Counter(now.get(engine, gone))))
            for engine in {**before, **now}
        }

    def copy(self) -> "Summary":
        """As it is now, whatever becomes of this one."""
        return msgspec.msgpack.decode(msgspec.msgpack.encode(self), type=Summary)

    def write(self, path: Path) -> None:
        """Write the file whole."""
        write_json(path, self)


def plain(idle: Spent) -> dict[str, dict[str, int]]:
    """The causes as strings."""
    return {engine: {str(cause): ns for cause, ns in causes.items()} for engine, causes in idle.items()}
