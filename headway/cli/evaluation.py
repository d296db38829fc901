"""Makes and compares evaluations: tasks through the scheduler, records into figures, figures into tables.

Invariants: the figures are those of the records in the file, whoever wrote them; what was rolled out is
shown and written, however the command ends.
"""

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console

import headway
from headway.errors import HeadwayError, InputError
from headway.scheduler import Task
from headway.trainer.evaluation import Evaluation, compare, figures, load_evaluation, score_tasks
from headway.trainer.rollout_file import read_rollouts

from .bench_options import numbers
from .config import SessionConfig
from .endings import finally_all, try_all
from .evaluation_tables import print_comparison, print_evaluation
from .output_file import write_json
from .rollout_summary import RolloutSummary
from .rollouts import RolloutJob, prepare, roll_out


def run_evaluation(
    config: SessionConfig,
    job: RolloutJob,
    *,
    ks: str | None,
    keep: bool,
    json_file: Path | None,
    console: Console,
) -> None:
    """Evaluate to the end; raises ``HeadwayError`` if every rollout failed, or any because an engine did."""
    wanted_ks = pass_ks(ks, job.samples)
    with _records(job, keep) as job:
        wanted, done = prepare(config, job)
        _require_answers(job.tasks, wanted)
        summary = RolloutSummary(tasks=len(wanted), samples=job.samples)
        started = time.perf_counter()

        def conclude() -> None:
            seconds = time.perf_counter() - started
            evaluation = make_evaluation(config, job, wanted, ks=wanted_ks, seconds=seconds)
            if evaluation.scores:
                try_all(
                    lambda: print_evaluation(console, evaluation, summary.failures),
                    lambda: write_json(json_file, evaluation) if json_file else None,
                )

        with finally_all(conclude):
            roll_out(config, job, wanted, done, summary, Console(stderr=True))
    _raise_if_failed(summary, job.out if keep else None)


def make_evaluation(
    config: SessionConfig, job: RolloutJob, wanted: Sequence[Task], *, ks: Sequence[int], seconds: float
) -> Evaluation:
    """Sum up what the file of records says of the tasks."""
    ids = {task.id for task in wanted}
    rollouts = read_rollouts(job.out) if job.out.exists() else iter(())
    scores = score_tasks(rollout for rollout in rollouts if rollout.task in ids)
    return Evaluation(
        headway=headway.__version__,
        model=config.model,
        tasks=job.tasks,
        samples=job.samples,
        settings=_settings(config, wanted),
        complete=sum(score.n >= job.samples for score in scores) == len(wanted),
        seconds=seconds,
        figures=figures(scores, ks),
        scores=scores,
    )


def run_comparison(a: Path, b: Path, *, json_file: Path | None, console: Console) -> None:
    """Compare two files."""
    comparison = compare(load_evaluation(a), load_evaluation(b))
    print_comparison(console, comparison, (str(a), str(b)))
    if json_file is not None:
        write_json(json_file, comparison)


def pass_ks(text: str | None, samples: int) -> list[int]:
    """Read the k of pass@k; raises ``InputError`` for one that no task has rollouts for."""
    if text is None:
        return [1 << power for power in range(samples.bit_length())]
    ks = sorted(numbers("--k", text, int))
    if ks[0] < 1 or ks[-1] > samples:
        raise InputError(f"--k {text}: pass@k needs 1 <= k <= --samples, which is {samples}")
    return ks


@contextlib.contextmanager
def _records(job: RolloutJob, keep: bool) -> Iterator[RolloutJob]:
    """The job, with its records in a temporary folder unless they are to be kept."""
    if keep:
        yield job
        return
    with tempfile.TemporaryDirectory(prefix="headway-eval-") as folder:
        yield msgspec.structs.replace(job, out=Path(folder) / "rollouts.jsonl")


def _require_answers(source: str, wanted: Sequence[Task]) -> None:
    for task in wanted:
        if task.answer is None:
            raise InputError(
                f"{source}: task {task.id} has no answer; an evaluation needs one for every task"
            )


def _settings(config: SessionConfig, wanted: Sequence[Task]) -> dict[str, str]:
    """What two evaluations should have in common; the tasks by a digest of all that they say."""
    said = msgspec.json.encode(sorted(wanted, key=lambda task: task.id))
    return {
        "temperature": f"{config.sampling.temperature:g}",
        "top_p": f"{config.sampling.top_p:g}",
        "max_turns": str(config.agent.max_turns),
        "max_turn_tokens": str(config.agent.max_turn_tokens),
        "max_context": str(config.engines.max_context or "the model's"),
        "tool": config.sandbox.tool,
        "tasks": f"{len(wanted)}, sha256 {hashlib.sha256(said).hexdigest()[:12]}",
    }


def _raise_if_failed(summary: RolloutSummary, out: Path | None) -> None:
    if out is not None:
        summary.raise_if_failed(out)
    elif summary.failures and (
        "engine" in summary.failed_at or (summary.measures and not summary.measures.scored)
    ):
        count = sum(summary.failures.values())
        raise HeadwayError(
            f"{count} rollouts failed and are not counted: {'; '.join(summary.failures)}; with --out FILE "
            "they can be made again by --resume"
        )
