"""A whole training run: ``headway demo`` and ``headway train`` are this, with different configurations."""

import asyncio
import contextlib
from pathlib import Path

from rich.console import Console

import headway
from headway.jsonl import JsonLines
from headway.scheduler import Chat, Group
from headway.scheduler.hermes import PYTHON_TOOL
from headway.trainer.grpo import Evaluation, GrpoLoop, GrpoStep
from headway.trainer.metrics_log import MetricsLog
from headway.trainer.policy_model import PolicyModel

from .data import finite_tasks, held_out_tasks, training_tasks
from .recorder import Recorder
from .report import print_report
from .run_folder import RunFolder, transfer_folder
from .runtime import flushing, run_async
from .session import check, engine_ids, make_fleet, model_folder, open_session
from .summary import Summary, write_json
from .train_config import TrainConfig
from .view import View


def check_training(config: TrainConfig) -> None:
    """Check all that can be checked without starting anything; raises ``InputError`` at the first fault."""
    held_out = held_out_tasks(config.data.held_out, config.evaluation.tasks)
    fleet = make_fleet(config, Path(), lambda engine, phase: None)
    chat = Chat.load(model_folder(config.model), [PYTHON_TOOL])
    check(config, fleet, chat, [*held_out, *finite_tasks(config.data.train)])


def run_training(
    config: TrainConfig, *, run: Path | None, json_file: Path | None, console: Console
) -> Summary:
    """Run to the end, print the report, and return the summary."""
    check_training(config)
    folder = RunFolder(run, name=config.name)
    summary = Summary(headway=headway.__version__, model=config.model, policy=config.policy)
    try:
        run_async(lambda: _train(config, folder, summary, console))
    finally:
        if summary.engines:
            print_report(console, summary, folder)
            if json_file is not None:
                summary.write(json_file)
    return summary


async def _train(config: TrainConfig, folder: RunFolder, summary: Summary, console: Console) -> None:
    held_out = held_out_tasks(config.data.held_out, config.evaluation.tasks)
    tasks = training_tasks(config.data.train, seed=config.grpo.seed)
    write_json(folder.config, config)
    view = View(console, config, folder)
    recorder = Recorder(
        folder.events, engines=engine_ids(config), model=config.model, policy=config.policy, watchers=[view]
    )
    rollouts = JsonLines(folder.rollouts)
    loading = asyncio.create_task(asyncio.to_thread(_load_model, config))  # while the engines start
    try:
        async with (
            flushing(recorder.log, rollouts),
            view,
            open_session(
                config,
                tasks=[*held_out, *finite_tasks(config.data.train)],
                log_dir=folder.logs,
                sink=recorder,
                on_phase=view.on_phase,
                on_rollout=rollouts.add,
            ) as session,
        ):
            summary.add_engines(session.engines)
            summary.sandbox_tier = session.tier
            with (
                contextlib.closing(MetricsLog(folder.path)) as metrics,
                transfer_folder(folder.path) as weights,
            ):
                model = await loading
                observer = _Observer(config, folder, summary, recorder, metrics, view, model)
                loop = GrpoLoop(
                    config=config.grpo,
                    evaluation=config.evaluation,
                    scheduler=session.scheduler,
                    model=model,
                    train=tasks,
                    held_out=held_out,
                    weights=Path(weights),
                    sink=recorder,
                    observer=observer,
                )
                try:
                    await loop.run()
                    summary.complete = True
                finally:
                    observer.conclude()
    finally:
        loading.cancel()


def _load_model(config: TrainConfig) -> PolicyModel:
    from transformers.utils import logging

    logging.disable_progress_bar()
    return PolicyModel(model_folder(config.model), config.grpo.optimizer, device=config.trainer_device)


class _Observer:
    """Notes what the loop says: on the screen, in the summary and in the metrics."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        summary: Summary,
        recorder: Recorder,
        metrics: MetricsLog,
        view: View,
        model: PolicyModel,
    ) -> None:
        self._config = config
        self._folder = folder
        self._summary = summary
        self._recorder = recorder
        self._metrics = metrics
        self._view = view
        self._model = model
        recorder.lap()

    def on_group(self, phase: str, group: Group, done: int, wanted: int) -> None:
        """Move the progress bar."""
        self._view.on_group(phase, done, wanted)

    def on_step(self, step: GrpoStep) -> None:
        """Note a step, and make a checkpoint where one is due."""
        idle, wall_ns = self._recorder.lap()
        summary = self._summary.add_step(step, idle, wall_ns)
        self._summary.write(self._folder.summary)
        self._metrics.write(step.step, "step", step)
        self._view.on_step(summary)
        every = self._config.checkpoint_every
        if every and step.step % every == 0:
            self._model.save(self._folder.checkpoint)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Note an evaluation."""
        self._recorder.lap()
        summary = self._summary.add_evaluation(evaluation)
        self._summary.write(self._folder.summary)
        self._metrics.write(evaluation.step, "eval", evaluation)
        self._view.on_evaluation(summary)

    def conclude(self) -> None:
        """Write what is known at the end, however it came: the summary and the weights as they stand."""
        self._summary.set_idle(*self._recorder.total())
        self._summary.trajectories = self._view.trajectories
        self._summary.write(self._folder.summary)
        self._model.save(self._folder.checkpoint)
