"""A training run that is killed again and again and resumed, and the same run unbroken beside it.

``python -m tests.cli.killed_runs MODEL WORK KILLS``. Engines are scripted, so both are fed the same rollouts;
in which order they complete differs each time.
"""

import asyncio
import io
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from headway.cli.recorder import Recorder
from headway.cli.resume import Resumed
from headway.cli.run_folder import RunFolder
from headway.cli.runtime import flushing
from headway.cli.session import Session
from headway.cli.summary import Summary
from headway.cli.train_config import DataConfig, TrainConfig
from headway.cli.training import take_steps
from headway.cli.view import View
from headway.engine.scripted import ScriptedEngine
from headway.jsonl import JsonLines
from headway.scheduler import (
    Chat,
    Episode,
    EpisodeConfig,
    Outcome,
    Scheduler,
    Task,
    TurnConfig,
    make_policy,
)
from headway.trainer.grpo import EvalConfig, GrpoConfig
from headway.trainer.policy_model import OptimizerConfig, PolicyModel
from headway.trainer.stage_config import StageConfig

STAGES = (
    StageConfig(name="short", steps=4),
    StageConfig(name="hard", steps=5, drop_solved=4, drop_within=1, reset_optimizer=True),
)


def config(model: Path) -> TrainConfig:
    optimizer = OptimizerConfig(learning_rate=1e-2, warmup_steps=3)
    return TrainConfig(
        model=str(model),
        data=DataConfig(tasks=30),
        grpo=GrpoConfig(prompts=3, samples=4, keep=2, refill=3, stages=STAGES, optimizer=optimizer),
        evaluation=EvalConfig(tasks=5, every=2),
        checkpoint_every=3,
        log=("jsonl",),
        transcripts=0,
    )


async def agent(episode: Episode) -> Outcome:
    """Two turns, each of a length that only the trajectory's name decides."""
    draw = random.Random(episode.id)
    episode.observe([draw.randrange(512) for _ in range(5)])
    await episode.generate(draw.randint(1, 9))
    episode.observe([1, 2])
    await episode.generate(draw.randint(1, 9))
    return Outcome("answer", answer=episode.id, answer_tags=1)


async def reward(task: Task, outcome: Outcome) -> float | None:
    if int(task.answer or 0) % 3 == 0:
        return 1.0
    return float(random.Random(f"reward {outcome.answer}").random() < 0.6)


def script(prompt: list[int]) -> list[int]:
    draw = random.Random(repr(prompt))
    return [draw.randrange(512) for _ in range(10)]


async def train(model: Path, run: Path) -> None:
    settings = config(model)
    folder = RunFolder(run, name="x", resume=True)
    resumed = Resumed() if folder.is_new else Resumed.of(folder)
    folder.config.touch()
    summary = resumed.kept.summary if resumed.kept else Summary(headway="0", model="m", policy="headroom")
    view = View(Console(file=io.StringIO()), settings, folder)
    recorder = Recorder(folder.events, engines=["engine-0", "engine-1"], model="m", policy="headroom")
    rollouts = JsonLines(folder.rollouts, append=True)
    pace = random.SystemRandom().uniform(0.01, 0.02)  # slow against the flushing, which sets how kills fall
    scheduler = Scheduler(
        [ScriptedEngine(script, id=f"engine-{i - 1}", seconds_per_token=pace * i) for i in (1, 2)],
        policy=make_policy("headroom"),
        agent=agent,
        reward=reward,
        episodes=EpisodeConfig(max_context=512),
        turns=TurnConfig(),
        on_rollout=rollouts.add,
        begun=resumed.begun,
        sink=view,
    )
    view.resume(resumed)
    chat = Chat.load(model)
    session = Session(scheduler, [], chat, "none", lambda limits: agent)
    policy = PolicyModel(model, settings.grpo.optimizer)
    if resumed.checkpoint:
        policy.load_checkpoint(resumed.checkpoint)
    async with flushing(rollouts, *recorder.files, every_s=0.02):
        await take_steps(settings, session, policy, folder, resumed, summary, recorder, view, rollouts)


def attempt(model: Path, run: Path, kill: Callable[[int], None] = lambda child: None) -> bool:
    """Train in a process of its own, which ``kill`` may kill; say whether it came to its end."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        asyncio.run(train(model, run))
        os._exit(0)
    kill(child)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit("the run failed")
    return os.WIFEXITED(status)


def size(run: Path) -> int:
    rollouts = run / "rollouts.jsonl"
    return rollouts.stat().st_size if rollouts.exists() else 0


def after(run: Path, more: float, seconds: float) -> Callable[[int], None]:
    """Kill at a moment that progress decides, and so not the machine's load, and a little chance."""

    def kill(child: int) -> None:
        wanted = size(run) + more
        while size(run) < wanted and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.002)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)

    return kill


def main(model: Path, work: Path, kills: int) -> None:
    assert attempt(model, work / "unbroken")
    whole = size(work / "unbroken")
    for number in range(kills):
        draw = random.Random(f"{work} {number}")
        share = draw.uniform(0.2, 1.0) / kills
        if attempt(model, work / "killed", after(work / "killed", share * whole, draw.uniform(0, 0.06))):
            print(f"ended before kill {number + 1}", flush=True)
            return
        print(f"killed after {share:.1%} more", flush=True)
    assert attempt(model, work / "killed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
