"""The options of every command that rolls out a model, and the struct that they fill."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from headway.errors import InputError

from .output_file import writable

if TYPE_CHECKING:
    from .config import SessionConfig

ModelOption = typer.Option(
    metavar="DIR", help="An HF model folder, or `tiny` for the policy that headway ships."
)
TasksOption = typer.Option(
    metavar="FILE",
    help='Lines of {"id", "prompt" | "messages", "answer"?}, or a file in the manner of AIME, MATH-500 or '
    "GPQA (jsonl, json, csv, parquet); or `arithmetic`: 64 tasks.",
)
Engines = Annotated[int, typer.Option(metavar="N", help="vLLM engines to start.")]
Samples = Annotated[int, typer.Option(min=1, metavar="K", help="Rollouts of each task.")]
Policy = Annotated[
    str, typer.Option(metavar="NAME", help="headroom or another; name:option=value sets options.")
]
Format = Annotated[
    str,
    typer.Option(
        metavar="auto|headway|math|gpqa", help="What a row of the task file is; auto: by its columns."
    ),
]
MaxContext = Annotated[
    int | None, typer.Option(metavar="TOKENS", help="Longest trajectory. Default: the model's own.")
]
KvTokens = Annotated[
    int | None, typer.Option(metavar="TOKENS", help="KV cache of each engine. Default: what fits.")
]
MaxTurns = Annotated[int, typer.Option(min=1, metavar="N", help="Model turns in a rollout.")]
MaxTurnTokens = Annotated[int, typer.Option(min=1, metavar="TOKENS", help="Tokens in one turn.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="Of sampling.")]
TopP = Annotated[float, typer.Option(min=0.0, max=1.0, help="Of sampling.")]
DeviceName = Annotated[str, typer.Option(metavar="auto|cpu|gpu", help="What the engines run on.")]
TensorParallel = Annotated[int, typer.Option(min=1, metavar="N", help="GPUs of one engine.")]
MetricsPort = Annotated[
    int | None,
    typer.Option(min=1, max=65535, metavar="PORT", help="Serve the figures to Prometheus, on the loopback."),
]
StepRecord = Annotated[
    bool,
    typer.Option(
        "--step-record", help="Also record every step of the engines, in steps/ beside the event log."
    ),
]
Json = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", callback=writable, help="Also write the result here, for machines."
    ),
]
Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", callback=writable, help="Also write one page to look at here."),
]


def session_config(
    *,
    model: str,
    policy: str,
    engines: int,
    kv_tokens: int | None,
    max_context: int | None,
    device: str,
    tensor_parallel_size: int,
    temperature: float,
    top_p: float,
    max_turns: int,
    max_turn_tokens: int,
    metrics_port: int | None = None,
    step_record: bool = False,
) -> "SessionConfig":
    """Return the struct; raises ``InputError`` for what no option may be."""
    from typing import get_args

    import msgspec

    from headway.engine.config import Device
    from headway.scheduler import AgentLimits

    from .config import EnginesConfig, ProfileConfig, SamplingConfig, SessionConfig

    if device not in get_args(Device):
        raise InputError(f"--device {device}: choose one of {', '.join(get_args(Device))}")
    try:
        sampling = msgspec.convert({"temperature": temperature, "top_p": top_p}, SamplingConfig)
    except msgspec.ValidationError as error:
        raise InputError(f"sampling: {error}") from error
    return SessionConfig(
        model=model,
        policy=policy,
        engines=EnginesConfig(
            count=engines,
            kv_tokens=kv_tokens,
            max_context=max_context,
            device=cast(Device, device),
            tensor_parallel_size=tensor_parallel_size,
            step_record=step_record,
        ),
        sampling=sampling,
        agent=AgentLimits(max_turns=max_turns, max_turn_tokens=max_turn_tokens),
        profile=ProfileConfig(metrics_port=metrics_port),
    )
