"""``headway sft``: its options and its help."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from . import session_options as options


def sft(
    model: Annotated[str, options.ModelOption],
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help='Chats to learn from: rows of {"messages", "tools"?} (jsonl, json, parquet).'
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The HF folder to make; the run's own files are in DIR.run.")
    ],
    held_out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Chats whose loss is told, before and after each epoch."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="How often each chat is seen.")] = 3,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Chats in a step.")] = 128,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=2, metavar="TOKENS", help="Leave out longer chats. Default: the model's context."),
    ] = None,
    learning_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="RATE", help="Its peak, after 4 % of the steps.")
    ] = 5e-6,
    seed: Annotated[int, typer.Option(help="Of the order of the chats.")] = 0,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(min=1, metavar="STEPS", help="Checkpoints besides those at the end of each epoch."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was ended, from its last checkpoint.")
    ] = False,
    batch_tokens: Annotated[
        int, typer.Option(min=1, metavar="TOKENS", help="Of one forward pass, padding included.")
    ] = 8192,
    precision: Annotated[
        str,
        typer.Option(
            metavar="float32|mixed|bfloat16", help="mixed: computes in bfloat16, weights are in float32."
        ),
    ] = "float32",
    device: Annotated[str, typer.Option(metavar="cpu|cuda|cuda:N", help="Where the model trains.")] = "cpu",
    json: options.Json = None,
) -> None:
    """Train a model on chats, before reinforcement learning: to follow instructions and to call tools.

    Messages are in the shape of OpenAI's API (system, user, assistant, tool; an assistant's may have
    `tool_calls`) and are rendered exactly as a rollout would be; what the assistant writes has the loss. The
    defaults are those of rStar2-Agent's cold start: AdamW, a warm-up, then a cosine.

    Ctrl-C ends it with a checkpoint, from which the same command with --resume goes on.
    """
    from .sft_job import SftJob, run_sft

    job = SftJob(
        model=model,
        data=data,
        out=out,
        held_out=held_out,
        max_tokens=max_tokens,
        checkpoint_every=checkpoint_every,
        resume=resume,
        device=device,
    )
    settings = {
        "epochs": epochs,
        "batch": batch,
        "learning_rate": learning_rate,
        "seed": seed,
        "micro_batch_tokens": batch_tokens,
        "network": {"precision": precision},
    }
    run_sft(job, settings, json_file=json, console=Console())
