"""A whole training run: ``headway demo`` and ``headway train`` are this, with different configurations."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec
from rich.console import Console

import headway
from headway.jsonl import JsonLines
from headway.profiles.run_steps import steps_folder
from headway.scheduler import Agent, Scheduler
from headway.trainer.direct_weights import DirectWeights
from headway.trainer.file_weights import FileWeights
from headway.trainer.grpo import GrpoLoop
from headway.trainer.in_thread import in_thread
from headway.trainer.metrics_log import MetricsLog
from headway.trainer.policy import Policy
from headway.trainer.stage_config import StageConfig

from .data import finite_tasks, held_out_tasks, training_tasks
from .endings import finally_all
from .observer import RunObserver
from .output_file import write_json
from .policy import follow_policy, leads, open_policy
from .recorder import Recorder
from .report import print_report
from .resume import Resumed, are_harmless, require_same
from .run_folder import RunFolder, transfer_folder
from .runtime import flushing, run_async
from .session import Session, engine_ids, model_folder, open_session
from .step_transcripts import StepTranscripts
from .summary import Summary
from .train_config import TrainConfig
from .training_checks import check_training, sends_by_nccl
from .view import View


def run_training(
    config: TrainConfig,
    *,
    run: Path | None,
    json_file: Path | None,
    console: Console,
    resume: bool = False,
) -> Summary:
    """Run to the end, print the report, and return the summary.

    With ``resume`` a run that is in the folder goes on, if there is one. Of torchrun's processes the first
    makes the run, and the others train with it.
    """
    check_training(config)
    if not leads():
        follow_policy(model_folder(config.model), config.grpo.optimizer, config.trainer)
        return Summary(headway=headway.__version__, model=config.model, policy=config.policy)
    folder = RunFolder(run, name=config.name, resume=resume)
    with finally_all(folder.release):
        resumed = _resumed(config, folder, console)
        write_json(folder.config, config)
        summary = (
            resumed.kept.summary
            if resumed.kept
            else Summary(headway=headway.__version__, model=config.model, policy=config.policy)
        )

        def report() -> None:
            if summary.engines:
                print_report(console, summary, folder)

        def write() -> None:
            if summary.engines and json_file is not None:
                summary.write(json_file)

        with finally_all(report, write):
            if resumed.is_over(config):
                summary.write(folder.summary)
            else:
                run_async(lambda: _train(config, folder, resumed, summary, console))
    return summary


def _resumed(config: TrainConfig, folder: RunFolder, console: Console) -> Resumed:
    if folder.is_new:
        return Resumed()
    changes = require_same(config, folder.config)
    for change in changes.values():
        console.print(f"changed since the run began: {change}", highlight=False, markup=False, soft_wrap=True)
    return Resumed.of(folder, exactly=are_harmless(changes) and not config.grpo.max_staleness)


async def _train(
    config: TrainConfig, folder: RunFolder, resumed: Resumed, summary: Summary, console: Console
) -> None:
    """Load the policy while the engines start; where either fails, the other is given up once it can be."""
    data = config.data
    held_out = held_out_tasks(data.held_out, config.evaluation.tasks, data.format)
    view = View(console, config, folder)
    recorder = Recorder(
        folder.events,
        engines=engine_ids(config),
        model=config.model,
        policy=config.policy,
        watchers=[view],
        metrics_port=config.profile.metrics_port,
    )
    rollouts = JsonLines(folder.rollouts, append=True)
    held = contextlib.ExitStack()
    async with _closing(held), flushing(rollouts, *recorder.files), asyncio.TaskGroup() as group:
        loading = group.create_task(in_thread(partial(_load_policy, config, resumed, held)))
        async with (
            view,
            open_session(
                config,
                tasks=[
                    *held_out,
                    *finite_tasks(data.train, data.format, count=data.tasks, seed=config.grpo.seed),
                ],
                log_dir=folder.logs,
                sink=recorder,
                on_phase=view.on_phase,
                on_rollout=rollouts.add,
                begun=resumed.begun,
                weight_backend="nccl" if sends_by_nccl(config) else None,
                steps=steps_folder(folder.events),
            ) as session,
        ):
            summary.add_engines(session.engines)
            summary.sandbox_tier = session.tier
            view.resume(resumed)
            policy = await loading
            await take_steps(config, session, policy, folder, resumed, summary, recorder, view, rollouts)


async def take_steps(
    config: TrainConfig,
    session: Session,
    policy: Policy,
    folder: RunFolder,
    resumed: Resumed,
    summary: Summary,
    recorder: Recorder,
    view: View,
    rollouts: JsonLines,
) -> None:
    """Train, in a session that is open, from where ``resumed`` says to the end."""
    data, state = config.data, resumed.kept.loop if resumed.kept else None
    log = MetricsLog(folder.path, config.log, msgspec.to_builtins(config), after=_last_step(resumed))
    with (
        contextlib.closing(log) as metrics,
        transfer_folder(folder.path, model_folder(config.model)) as weights,
    ):
        observer = RunObserver(
            folder=folder,
            summary=summary,
            recorder=recorder,
            metrics=metrics,
            view=view,
            policy=policy,
            rollouts=rollouts,
            unfinished=session.scheduler.unfinished,
            checkpoint_every=config.checkpoint_every,
            keep_checkpoints=config.keep_checkpoints,
            transcripts=StepTranscripts(folder.transcripts, session.chat.transcript, config.transcripts),
            state=state,
        )
        loop = GrpoLoop(
            config=config.grpo,
            evaluation=config.evaluation,
            scheduler=session.scheduler,
            policy=policy,
            push_weights=_pusher(config, policy, session.scheduler, Path(weights)),
            train=training_tasks(data.train, seed=config.grpo.seed, format=data.format, count=data.tasks),
            held_out=held_out_tasks(data.held_out, config.evaluation.tasks, data.format),
            sink=recorder,
            observer=observer,
            agent_of=lambda stage: _agent(config, session, stage),
            state=state,
            era=folder.era,
        )
        with finally_all(observer.conclude):
            summary.complete = False
            await loop.run()
            await observer.finish()


def _last_step(resumed: Resumed) -> int | None:
    """The last step that an earlier log of the run has to tell; None where there is no such log."""
    if resumed.begun is None:
        return None
    return resumed.kept.loop.step if resumed.kept else -1


def _agent(config: TrainConfig, session: Session, stage: StageConfig) -> Agent:
    """The run's agent, with the limits that the stage has of its own."""
    limits = ("max_response_tokens", "max_turns", "max_turn_tokens")
    own = {name: value for name in limits if (value := getattr(stage, name)) is not None}
    return session.agent(msgspec.structs.replace(config.agent, **own))


@contextlib.asynccontextmanager
async def _closing(held: contextlib.ExitStack) -> AsyncIterator[None]:
    with held:
        yield


def _load_policy(config: TrainConfig, resumed: Resumed, held: contextlib.ExitStack) -> Policy:
    """Load the policy, which stays open for as long as ``held`` does, as the run left it."""
    policy = held.enter_context(
        open_policy(model_folder(config.model), config.grpo.optimizer, config.trainer)
    )
    if resumed.checkpoint is not None:
        policy.load_checkpoint(resumed.checkpoint)
    return policy


def _pusher(
    config: TrainConfig, policy: Policy, scheduler: Scheduler, folder: Path
) -> Callable[[int], Awaitable[None]]:
    """How weights get to the engines: from GPU to GPU, or by a file in a folder."""
    if sends_by_nccl(config):
        return DirectWeights(policy, scheduler, workers=config.engines.tensor_parallel_size).push
    return FileWeights(policy, scheduler, folder).push
