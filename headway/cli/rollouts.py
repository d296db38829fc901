"""``headway rollout``: the user's model on the user's tasks, one record a rollout, written as it ends.

Invariants: nothing is made on disk before everything that can be checked was; no record is ever overwritten;
a rollout that was handed over is in the file, whatever else fails.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from headway.engine import EngineError
from headway.errors import InputError
from headway.jsonl import JsonLines
from headway.profiles.run_steps import steps_folder
from headway.scheduler import Chat, Rollout, Task, TaskFormat, load_tasks

from .config import SessionConfig
from .data import GENERATED, held_out_tasks
from .done import Done
from .endings import finally_all
from .output_file import write_json
from .recorder import Recorder
from .rollout_summary import RolloutSummary, print_summary
from .runtime import flushing, run_async
from .session import check_session, engine_ids, open_session

_GENERATED_TASKS = 64


class RolloutJob(msgspec.Struct, frozen=True, kw_only=True):
    """What to roll out, and where it goes. ``tasks`` is a file, or ``arithmetic`` for generated ones.

    ``format`` is that of the file, ``seed`` shuffles the choices of ``gpqa``.
    """

    tasks: str
    format: TaskFormat = "auto"
    seed: int = 0
    samples: int
    out: Path
    resume: bool = False
    events: Path | None = None
    with_text: bool = False


def run_rollouts(
    config: SessionConfig, job: RolloutJob, *, json_file: Path | None, console: Console
) -> RolloutSummary:
    """Roll out to the end; raises ``HeadwayError`` if every rollout failed, or any because an engine did."""
    wanted, done = prepare(config, job)
    summary = RolloutSummary(tasks=len(wanted), samples=job.samples)

    def report() -> None:
        print_summary(console, summary, job.out)

    def write() -> None:
        if json_file is not None and (summary.measures is not None or summary.complete):
            write_json(json_file, summary)

    with finally_all(report, write):
        roll_out(config, job, wanted, done, summary, console)
    summary.raise_if_failed(job.out)
    return summary


def prepare(config: SessionConfig, job: RolloutJob) -> tuple[list[Task], Done]:
    """Check all that can be checked, return the tasks and what the output holds; raises ``InputError``."""
    if job.events is None and config.engines.step_record:
        raise InputError("--step-record writes beside the event log; give --events FILE, too")
    if job.tasks == GENERATED:
        wanted = held_out_tasks(GENERATED, _GENERATED_TASKS)
    else:
        wanted = load_tasks(Path(job.tasks), job.format, seed=job.seed)
    done = _what_is_there(job)
    check_session(config, wanted)
    done.mend(job.out)
    return wanted, done


def roll_out(
    config: SessionConfig,
    job: RolloutJob,
    wanted: list[Task],
    done: Done,
    summary: RolloutSummary,
    console: Console,
) -> None:
    """Make the rollouts that are missing; what came of them is in ``summary``, however this ends."""
    if any(done.lacking(task.id, job.samples) for task in wanted):
        run_async(lambda: _roll_out(config, job, wanted, done, summary, console))
    else:
        summary.complete = True
        console.print(f"{escape(str(job.out))}: nothing is missing", highlight=False, soft_wrap=True)


def _what_is_there(job: RolloutJob) -> Done:
    """Read what the output holds; raises ``InputError`` for files that are there and must not be."""
    if job.events is not None and job.events.exists():
        raise InputError(f"{job.events}: is there already; give another file for the event log")
    if not job.out.exists():
        return Done()
    if job.resume:
        return Done.read(job.out)
    if job.out.stat().st_size:
        raise InputError(f"{job.out}: is there already; give another file, or --resume to go on with it")
    return Done()


async def _roll_out(
    config: SessionConfig,
    job: RolloutJob,
    wanted: list[Task],
    done: Done,
    summary: RolloutSummary,
    console: Console,
) -> None:
    missing = {task.id: count for task in wanted if (count := done.lacking(task.id, job.samples))}
    ended: list[Rollout] = []
    chat: Chat | None = None
    with _engine_logs(summary) as logs, _progress(console) as progress:
        bar = progress.add_task("starting engines", total=sum(missing.values()))
        recorder = Recorder(
            job.events,
            engines=engine_ids(config),
            model=config.model,
            policy=config.policy,
            metrics_port=config.profile.metrics_port,
        )
        records = JsonLines(job.out, append=job.out.exists())

        def on_rollout(rollout: Rollout) -> None:
            if job.with_text and chat is not None:
                rollout = msgspec.structs.replace(rollout, text=chat.transcript(rollout.tokens))
            records.add(rollout)
            ended.append(msgspec.structs.replace(rollout, tokens=[], logprobs=[], text=None))
            progress.advance(bar)

        async with (
            flushing(records, *recorder.files),
            open_session(
                config,
                tasks=[task for task in wanted if task.id in missing],
                log_dir=logs,
                sink=recorder,
                on_phase=lambda engine, phase: progress.update(bar, description=f"{engine}: {phase}"),
                on_rollout=on_rollout,
                first_group=done.groups,
                steps=steps_folder(job.events) if job.events is not None else None,
            ) as session,
        ):
            chat = session.chat
            progress.update(bar, description="rolling out")
            started = time.perf_counter()
            with finally_all(lambda: summary.conclude(ended, recorder, time.perf_counter() - started)):
                for count in sorted(set(missing.values())):
                    lacking = [task for task in wanted if missing.get(task.id) == count]
                    async for _ in session.scheduler.stream(lacking, samples=count):
                        pass
                summary.complete = True


@contextlib.contextmanager
def _engine_logs(summary: RolloutSummary) -> Iterator[Path]:
    """A temporary folder for the engines' logs, which stays where one of them failed."""
    folder = Path(tempfile.mkdtemp(prefix="headway-engines-"))
    wanted = False
    try:
        yield folder
    except BaseException as error:
        wanted = _is_an_engines(error)
        raise
    finally:
        if not wanted and "engine" not in summary.failed_at:
            shutil.rmtree(folder, ignore_errors=True)


def _is_an_engines(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_an_engines(inner) for inner in error.exceptions)
    return isinstance(error, EngineError)


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
