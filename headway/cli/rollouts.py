"""``headway rollout``: the user's model on the user's tasks, one record a rollout, written as it ends."""

import collections
import tempfile
import time
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

from headway.errors import HeadwayError, InputError
from headway.jsonl import JsonLines
from headway.scheduler import Chat, Rollout, Task, load_tasks
from headway.scheduler.rollout import Failure
from headway.trainer.measures import RolloutMeasures, measure

from .config import SessionConfig
from .data import GENERATED, held_out_tasks
from .recorder import Recorder
from .report import time_table
from .runtime import flushing, run_async
from .session import engine_ids, open_session
from .summary import plain, write_json

_GENERATED_TASKS = 64


class RolloutSummary(msgspec.Struct, kw_only=True):
    """What ``--json`` writes. For every engine the nanoseconds in ``idle`` sum to ``wall_ns``."""

    tasks: int
    samples: int
    complete: bool = False
    seconds: float = 0.0
    tokens_per_s: float = 0.0
    measures: RolloutMeasures | None = None
    failures: dict[str, int] = {}
    idle: dict[str, dict[str, int]] = {}
    wall_ns: int = 0

    def conclude(self, ended: list[Rollout], recorder: Recorder, seconds: float) -> None:
        """Sum up what ended."""
        idle, self.wall_ns = recorder.total()
        self.idle = plain(idle)
        self.measures = measure(ended, version=0)
        self.seconds = seconds
        self.tokens_per_s = self.measures.generated_tokens / seconds
        self.failures = dict(
            collections.Counter(f"{r.failure.boundary}: {r.failure.message}" for r in ended if r.failure)
        )


class RolloutJob(msgspec.Struct, frozen=True, kw_only=True):
    """What to roll out, and where it goes. ``tasks`` is a file, or ``arithmetic`` for generated ones."""

    tasks: str
    samples: int
    out: Path
    resume: bool = False
    events: Path | None = None
    with_text: bool = False


def run_rollouts(
    config: SessionConfig, job: RolloutJob, *, json_file: Path | None, console: Console
) -> RolloutSummary:
    """Roll out to the end; raises ``HeadwayError`` if every rollout failed."""
    wanted = (
        held_out_tasks(GENERATED, _GENERATED_TASKS) if job.tasks == GENERATED else load_tasks(Path(job.tasks))
    )
    if job.out.exists() and not job.resume:
        raise InputError(f"{job.out}: is there already; give another file, or --resume to go on with it")
    done = _Done.read(job.out) if job.resume and job.out.exists() else _Done()
    summary = RolloutSummary(tasks=len(wanted), samples=job.samples)
    try:
        run_async(lambda: _roll_out(config, job, wanted, done, summary, console))
    finally:
        if summary.measures is not None:
            _print(console, summary, job.out)
            if json_file is not None:
                write_json(json_file, summary)
    if summary.measures is not None and 0 < summary.measures.failed == summary.measures.trajectories:
        raise HeadwayError(f"every rollout failed: {'; '.join(summary.failures)}")
    return summary


async def _roll_out(
    config: SessionConfig,
    job: RolloutJob,
    wanted: list[Task],
    done: "_Done",
    summary: RolloutSummary,
    console: Console,
) -> None:
    missing = [task for task in wanted if done.samples[task.id] < job.samples]
    ended: list[Rollout] = []
    chat: Chat | None = None
    with tempfile.TemporaryDirectory(prefix="headway-") as temporary, _progress(console) as progress:
        bar = progress.add_task(
            "starting engines", total=sum(job.samples - done.samples[t.id] for t in missing)
        )
        recorder = Recorder(
            job.events or Path(temporary) / "events.jsonl",
            engines=engine_ids(config),
            model=config.model,
            policy=config.policy,
        )
        records = JsonLines(job.out, append=job.resume)

        def on_rollout(rollout: Rollout) -> None:
            if job.with_text and chat is not None:
                rollout = msgspec.structs.replace(rollout, text=chat.transcript(rollout.tokens))
            records.add(rollout)
            ended.append(msgspec.structs.replace(rollout, tokens=[], logprobs=[], text=None))
            progress.advance(bar)

        async with (
            flushing(recorder.log, records),
            open_session(
                config,
                tasks=missing,
                log_dir=Path(temporary) / "logs",
                sink=recorder,
                on_phase=lambda engine, phase: progress.update(bar, description=f"{engine}: {phase}"),
                on_rollout=on_rollout,
                first_group=done.groups,
            ) as session,
        ):
            progress.update(bar, description="rolling out")
            started = time.perf_counter()
            try:
                for count in range(1, job.samples + 1):
                    lacking = [task for task in missing if job.samples - done.samples[task.id] == count]
                    async for _ in session.scheduler.stream(lacking, samples=count):
                        pass
                summary.complete = True
            finally:
                summary.conclude(ended, recorder, time.perf_counter() - started)


class _Done(msgspec.Struct):
    """What a file of records holds already: rollouts by task, and the number of groups."""

    samples: collections.Counter[str] = msgspec.field(default_factory=collections.Counter)
    groups: int = 0

    @classmethod
    def read(cls, path: Path) -> "_Done":
        done = cls()
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    record = msgspec.json.decode(line, type=_Record)
                except msgspec.DecodeError as error:
                    raise InputError(f"{path}:{number}: not a rollout record: {error}") from error
                done.groups = max(done.groups, int(record.group.removeprefix("g")))
                if record.failure is None:
                    done.samples[record.task] += 1
        return done


class _Record(msgspec.Struct):
    task: str
    group: str
    failure: Failure | None = None


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _print(console: Console, summary: RolloutSummary, out: Path) -> None:
    measures = summary.measures
    assert measures is not None
    console.print(
        f"{measures.trajectories} rollouts in {summary.seconds:.1f} s, {measures.failed} failed; "
        f"{summary.tokens_per_s:,.0f} tokens/s, pass@1 {measures.pass_at_1:.3f}, "
        f"failed tool calls {measures.tool_error:.1%}, preemptions {measures.preemptions}",
        highlight=False,
        soft_wrap=True,
    )
    for failure, count in summary.failures.items():
        console.print(f"  {count} x {escape(failure)}", highlight=False, soft_wrap=True)
    console.print(time_table(summary.idle, summary.wall_ns))
    console.print(f"records: {escape(str(out))}", highlight=False, soft_wrap=True)
