"""Supervised training of a model folder on files of chats, with progress and a summary.

Invariant: the model folder appears whole at the end or not at all; what is needed to go on is beside it.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from headway.errors import HeadwayError, InputError
from headway.scheduler.chat import Chat
from headway.trainer.chat_data import ChatData, load_chats
from headway.trainer.policy_model import PolicyModel
from headway.trainer.sft import SftConfig, SftStep
from headway.trainer.sft_run import SftEvaluation, SftProgress, SftRun

from .endings import finally_all
from .output_file import write_json
from .run_folder import RunFolder
from .runtime import run_async
from .session import model_folder, quieten_transformers
from .training_checks import check_device


class SftJob(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; see ``headway sft --help``."""

    model: str
    data: Path
    out: Path
    held_out: Path | None
    max_tokens: int | None
    checkpoint_every: int | None
    resume: bool
    device: str


class SftSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did; ``too_long``, ``held_out_too_long``: chats left out.

    ``loss_share``: tokens that have a loss, of all.
    """

    model: str
    chats: int
    too_long: int
    held_out_too_long: int
    tokens_per_s: float
    loss_share: float
    progress: SftProgress


def run_sft(job: SftJob, settings: dict[str, Any], *, json_file: Path | None, console: Console) -> SftSummary:
    """Train to the end, save the HF folder, and say what it cost."""
    try:
        config = msgspec.convert(settings, SftConfig)
    except msgspec.ValidationError as error:
        raise InputError(f"the training: {error}") from error
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise InputError("headway sft trains in one process; start it without torchrun")
    run = job.out.with_name(job.out.name + ".run")
    if job.out.exists():
        raise HeadwayError(f"{job.out}: is there already; give another folder")
    if run.exists() and not job.resume:
        raise HeadwayError(f"{run}: has a run already; go on with it by --resume, or give another folder")
    check_device(job.device)
    quieten_transformers()
    data, held_out = _load(job)
    folder = RunFolder(run, name="sft", resume=job.resume)
    with finally_all(folder.release):
        model = PolicyModel(model_folder(job.model), config.optimizer(len(data.examples)), device=job.device)
        training = SftRun(
            model,
            data.examples,
            config,
            folder=folder.path,
            held_out=held_out.examples,
            checkpoint_every=job.checkpoint_every,
            resume=job.resume,
        )
        write_json(folder.config, {"job": msgspec.to_builtins(job, enc_hook=str), "training": config})
        with finally_all(training.save_checkpoint):
            run_async(lambda: _train(training, console))
        model.save(job.out)
    summary = _summary(job.out, data, held_out, training.progress)
    _print(summary, console)
    if json_file is not None:
        write_json(json_file, summary)
    return summary


def _load(job: SftJob) -> tuple[ChatData, ChatData]:
    from transformers import AutoConfig, AutoTokenizer

    folder = model_folder(job.model)
    Chat.load(folder)  # says what is wrong with a folder
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    context = int(config.get_text_config().max_position_embeddings)
    if job.max_tokens is not None and job.max_tokens > context:
        raise InputError(f"--max-tokens {job.max_tokens}: the model reads {context} tokens at most")
    limit = job.max_tokens or context
    data = load_chats(job.data, tokenizer, max_tokens=limit)
    held_out = load_chats(job.held_out, tokenizer, max_tokens=limit) if job.held_out else ChatData([], 0)
    return data, held_out


async def _train(training: SftRun, console: Console) -> None:
    """Take every step, each in a thread; a signal ends it after the one that runs."""
    with Progress(console=console) as progress:
        bar = progress.add_task("starting", total=training.steps, completed=training.progress.step)
        events = training.run()
        while (event := await asyncio.to_thread(next, events, None)) is not None:
            match event:
                case SftStep():
                    progress.update(bar, completed=event.step, description=f"loss {event.update.loss:.3f}")
                case SftEvaluation():
                    progress.console.print(
                        f"held-out loss after {event.epoch} epochs: {event.loss:.4f}", highlight=False
                    )


def _summary(out: Path, data: ChatData, held_out: ChatData, progress: SftProgress) -> SftSummary:
    return SftSummary(
        model=str(out),
        chats=len(data.examples),
        too_long=data.too_long,
        held_out_too_long=held_out.too_long,
        tokens_per_s=progress.tokens / progress.seconds,
        loss_share=data.written / data.tokens,
        progress=progress,
    )


def _print(summary: SftSummary, console: Console) -> None:
    progress = summary.progress
    losses = [(progress.first_loss, progress.last_loss, "loss of the first step and the last")]
    if progress.held_out:
        losses.append((progress.held_out[0].loss, progress.held_out[-1].loss, "held-out loss"))
    lines = [
        f"{summary.chats:,} chats, {progress.step} steps, {progress.tokens:,} tokens "
        f"({summary.loss_share:.1%} with a loss), {progress.seconds:.0f} s, "
        f"{summary.tokens_per_s:,.0f} tokens/s",
        *(f"{name}: {before:.4f} -> {after:.4f}" for before, after, name in losses),
    ]
    if summary.too_long:
        lines.append(f"{summary.too_long:,} chats were left out: they are too long (--max-tokens)")
    if summary.held_out_too_long:
        lines.append(f"{summary.held_out_too_long:,} held-out chats were left out: they are too long, too")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"model folder: [bold]{escape(summary.model)}[/]", highlight=False, soft_wrap=True)
