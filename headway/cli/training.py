"""A whole training run: ``headway demo`` and ``headway train`` are this, with different configurations."""

import asyncio
import contextlib
from pathlib import Path

import msgspec
from rich.console import Console

import headway
from headway.jsonl import JsonLines
from headway.trainer.grpo import GrpoLoop
from headway.trainer.metrics_log import MetricsLog
from headway.trainer.policy_model import PolicyModel

from .data import finite_tasks, held_out_tasks, training_tasks
from .endings import finally_all
from .observer import RunObserver
from .output_file import write_json
from .recorder import Recorder
from .report import print_report
from .run_folder import RunFolder, transfer_folder
from .runtime import flushing, run_async
from .session import Session, engine_ids, model_folder, open_session, quieten_transformers
from .step_transcripts import StepTranscripts
from .summary import Summary
from .train_config import TrainConfig
from .training_checks import check_training
from .view import View


def run_training(
    config: TrainConfig, *, run: Path | None, json_file: Path | None, console: Console
) -> Summary:
    """Run to the end, print the report, and return the summary."""
    check_training(config)
    folder = RunFolder(run, name=config.name)
    summary = Summary(headway=headway.__version__, model=config.model, policy=config.policy)

    def report() -> None:
        if summary.engines:
            print_report(console, summary, folder)

    def write() -> None:
        if summary.engines and json_file is not None:
            summary.write(json_file)

    with finally_all(report, write):
        run_async(lambda: _train(config, folder, summary, console))
    return summary


async def _train(config: TrainConfig, folder: RunFolder, summary: Summary, console: Console) -> None:
    """Load the policy while the engines start; where either fails, the other is given up at once."""
    data = config.data
    held_out = held_out_tasks(data.held_out, config.evaluation.tasks, data.format)
    write_json(folder.config, config)
    view = View(console, config, folder)
    recorder = Recorder(
        folder.events, engines=engine_ids(config), model=config.model, policy=config.policy, watchers=[view]
    )
    rollouts = JsonLines(folder.rollouts)
    async with flushing(rollouts, *recorder.files), asyncio.TaskGroup() as group:
        loading = group.create_task(asyncio.to_thread(_load_model, config))
        async with (
            view,
            open_session(
                config,
                tasks=[*held_out, *finite_tasks(data.train, data.format)],
                log_dir=folder.logs,
                sink=recorder,
                on_phase=view.on_phase,
                on_rollout=rollouts.add,
            ) as session,
        ):
            summary.add_engines(session.engines)
            summary.sandbox_tier = session.tier
            await _take_steps(config, session, await loading, folder, summary, recorder, view)


async def _take_steps(
    config: TrainConfig,
    session: Session,
    model: PolicyModel,
    folder: RunFolder,
    summary: Summary,
    recorder: Recorder,
    view: View,
) -> None:
    data = config.data
    with (
        contextlib.closing(MetricsLog(folder.path, config.log, msgspec.to_builtins(config))) as metrics,
        transfer_folder(folder.path, model_folder(config.model)) as weights,
    ):
        observer = RunObserver(
            folder=folder,
            summary=summary,
            recorder=recorder,
            metrics=metrics,
            view=view,
            model=model,
            checkpoint_every=config.checkpoint_every,
            transcripts=StepTranscripts(folder.transcripts, session.chat.transcript, config.transcripts),
        )
        loop = GrpoLoop(
            config=config.grpo,
            evaluation=config.evaluation,
            scheduler=session.scheduler,
            model=model,
            train=training_tasks(data.train, seed=config.grpo.seed, format=data.format),
            held_out=held_out_tasks(data.held_out, config.evaluation.tasks, data.format),
            weights=Path(weights),
            sink=recorder,
            observer=observer,
        )
        with finally_all(observer.conclude):
            await loop.run()
            summary.complete = True


def _load_model(config: TrainConfig) -> PolicyModel:
    quieten_transformers()
    return PolicyModel(model_folder(config.model), config.grpo.optimizer, device=config.trainer_device)
