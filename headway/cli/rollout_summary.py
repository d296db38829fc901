"""What a rollout job came to: its figures, their print-out, and whether it counts as a success."""

import collections
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

from headway.errors import HeadwayError
from headway.scheduler import Rollout
from headway.trainer.measures import RolloutMeasures, measure

from .recorder import Recorder
from .report import time_table
from .summary import plain


class RolloutSummary(msgspec.Struct, kw_only=True):
    """What ``--json`` writes. For every engine the nanoseconds in ``idle`` sum to ``wall_ns``.

    ``failed_at`` counts failed rollouts by the boundary that failed, ``failures`` by the whole message.
    """

    tasks: int
    samples: int
    complete: bool = False
    seconds: float = 0.0
    tokens_per_s: float = 0.0
    measures: RolloutMeasures | None = None
    failed_at: dict[str, int] = {}
    failures: dict[str, int] = {}
    idle: dict[str, dict[str, int]] = {}
    wall_ns: int = 0

    def conclude(self, ended: list[Rollout], recorder: Recorder, seconds: float) -> None:
        """Sum up what ended."""
        idle, self.wall_ns = recorder.total()
        self.idle = plain(idle)
        self.seconds = seconds
        self.add(ended)

    def add(self, ended: list[Rollout]) -> None:
        """Take in the rollouts that ended in ``seconds``."""
        failures = [rollout.failure for rollout in ended if rollout.failure]
        self.measures = measure(ended, version=0)
        self.tokens_per_s = self.measures.generated_tokens / max(self.seconds, 1e-9)
        self.failed_at = dict(collections.Counter(failure.boundary for failure in failures))
        self.failures = dict(collections.Counter(f"{f.boundary}: {f.message}" for f in failures))

    def raise_if_failed(self, out: Path) -> None:
        """Raise ``HeadwayError`` where every rollout failed, or any for an engine that did."""
        measures = self.measures
        if measures is None:
            return
        if 0 < measures.failed == measures.trajectories:
            raise HeadwayError(f"every rollout failed: {'; '.join(self.failures)}")
        if lost := self.failed_at.get("engine", 0):
            raise HeadwayError(
                f"{lost} of {measures.trajectories} rollouts failed because an engine did; the same command "
                f"with --resume makes them again in {out}"
            )


def print_summary(console: Console, summary: RolloutSummary, out: Path) -> None:
    """Print what is known; nothing where nothing was rolled out."""
    measures = summary.measures
    if measures is None:
        return
    console.print(
        f"{measures.trajectories} rollouts in {summary.seconds:.1f} s, {measures.failed} failed; "
        f"{summary.tokens_per_s:,.0f} tokens/s, pass@1 {measures.pass_at_1:.3f}, "
        f"failed tool calls {measures.tool_error:.1%}, preemptions {measures.preemptions}",
        highlight=False,
        soft_wrap=True,
    )
    for failure, count in summary.failures.items():
        console.print(f"  {count} x {escape(failure)}", highlight=False, soft_wrap=True)
    if summary.idle:
        console.print(time_table(summary.idle, summary.wall_ns))
    console.print(f"records: {escape(str(out))}", highlight=False, soft_wrap=True)
