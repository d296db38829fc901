"""The commands, their options and their help. Each command's work is in a module of its own."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headway.errors import HeadwayError, InputError

from . import session_options as options
from .bench import app as bench_app
from .calibrate import calibrate
from .curves import curves
from .entropy import entropy
from .eval import evaluate
from .output_file import writable
from .profile import profile
from .replay import replay
from .sandbox import app as sandbox_app
from .sft import sft
from .trace import app as trace_app
from .transcripts import transcripts

app = typer.Typer(
    name="headway",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
    help="""Rollouts for agentic reinforcement learning: engines kept busy by KV-cache headroom.

    Start with `headway demo`: the whole loop on this machine, without a GPU or a download.

    Exit status: 0 done, 1 failed (the message says why), 2 unusable input or options, 130 and 143 ended by
    Ctrl-C and SIGTERM.""",
)

app.add_typer(bench_app, name="bench")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(trace_app, name="trace")
app.command()(calibrate)
app.command("eval")(evaluate)
app.command()(transcripts)
app.command()(entropy)
app.command()(sft)
app.command()(curves)
app.command()(replay)
app.command()(profile)


class Resume(StrEnum):
    """Whether a run goes on that is in the run folder."""

    NEVER = "never"
    AUTO = "auto"


Json = options.Json
Run = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The run folder to make. Default: runs/NAME-DATE-TIME."),
]


@app.command()
def demo(
    run: Run = None,
    json: Json = None,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Optimiser steps. Default: 30.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="headroom (default) or another; name:option=value sets options."),
    ] = None,
) -> None:
    """Run the whole loop on an embedded default, in a few minutes and without a GPU.

    Two vLLM engines start from a small policy that headway ships. It solves arithmetic by writing Python,
    which runs in a sandbox; the scheduler shares out two small KV caches; GRPO-RoC trains it, and every
    step's weights go into the live engines. Ends with the policy before and after, and with where each
    engine's time went.
    """
    import msgspec

    from .recipes import load_recipe
    from .train_config import TrainConfig
    from .training import run_training

    config = load_recipe("demo", TrainConfig)
    if steps is not None:
        config = msgspec.structs.replace(config, grpo=msgspec.structs.replace(config.grpo, steps=steps))
    if policy is not None:
        config = msgspec.structs.replace(config, policy=policy)
    run_training(config, run=run, json_file=json, console=Console())


@app.command()
def train(
    config: Annotated[
        Path, typer.Option(metavar="FILE.toml", help="The run's configuration, or the name of a recipe.")
    ],
    run: Run = None,
    json: Json = None,
    resume: Annotated[
        Resume,
        typer.Option(
            "--resume", help="auto: where the run folder has a run in it, go on with it from where it ended."
        ),
    ] = Resume.NEVER,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Take another value, such as grpo.seed=1. Repeatable."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only read and check the configuration, the model and the tasks.")
    ] = False,
) -> None:
    """Train a model with GRPO-RoC on your own tasks.

    The configuration is one TOML file, or a recipe that headway ships, by name: demo, tiny (three stages, on
    any machine), rstar2-14b (the paper's). The least is a model folder and a task file:

        model = "path/to/model"

        [data]
        train = "tasks.jsonl"
        held_out = "held_out.jsonl"

    A run that was ended or killed goes on with the same command and `--resume auto`, from its last checkpoint
    and the rollouts that have finished since.
    """
    from headway.trainer.config_file import load_config

    from .recipes import recipe_path
    from .train_config import TrainConfig
    from .training import run_training
    from .training_checks import check_training

    if resume is Resume.AUTO and run is None:
        raise InputError("--resume auto needs --run DIR, the folder of the run that is to go on")
    settings = load_config(recipe_path(config), TrainConfig, changes or [])
    if check:
        check_training(settings)
        Console().print(f"{config}: nothing wrong found", highlight=False)
        return
    run_training(settings, run=run, json_file=json, console=Console(), resume=resume is Resume.AUTO)


@app.command()
def rollout(
    model: Annotated[str, options.ModelOption],
    tasks: Annotated[str, options.TasksOption],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE.jsonl", callback=writable, help="Where the rollouts go, as they finish."),
    ],
    engines: options.Engines = 1,
    samples: options.Samples = 1,
    format: options.Format = "auto",
    policy: options.Policy = "headroom",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a file: roll out only what it lacks.")
    ] = False,
    max_context: options.MaxContext = None,
    kv_tokens: options.KvTokens = None,
    max_turns: options.MaxTurns = 10,
    max_turn_tokens: options.MaxTurnTokens = 4096,
    temperature: options.Temperature = 1.0,
    top_p: options.TopP = 1.0,
    device: options.DeviceName = "auto",
    tensor_parallel_size: options.TensorParallel = 1,
    events: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", callback=writable, help="Also write the event log here."),
    ] = None,
    step_record: options.StepRecord = False,
    metrics_port: options.MetricsPort = None,
    text: Annotated[
        bool, typer.Option("--text", help="Add each rollout's transcript to its record.")
    ] = False,
    json: Json = None,
) -> None:
    """Roll out your own model on your own tasks.

    A record has id, group, task, tokens, mask (what the model wrote), logprobs, versions, turns, tool_calls
    with their status, answer, reward (None without a true answer), finish_reason and failure. Records are
    written as rollouts finish; after an interruption, --resume rolls out what is missing.
    """
    from headway.scheduler import task_format

    from .rollouts import RolloutJob, run_rollouts

    config = options.session_config(
        model=model,
        policy=policy,
        engines=engines,
        kv_tokens=kv_tokens,
        max_context=max_context,
        device=device,
        tensor_parallel_size=tensor_parallel_size,
        temperature=temperature,
        top_p=top_p,
        max_turns=max_turns,
        max_turn_tokens=max_turn_tokens,
        metrics_port=metrics_port,
        step_record=step_record,
    )
    job = RolloutJob(
        tasks=tasks,
        format=task_format(format),
        samples=samples,
        out=out,
        resume=resume,
        events=events,
        with_text=text,
    )
    run_rollouts(config, job, json_file=json, console=Console(stderr=True))


@app.command()
def doctor(json: Json = None) -> None:
    """Say what works on this machine, what does not, and how to mend it.

    Exit status 0 where everything needed works, 1 where something needed does not.
    """
    from .doctor import examine, print_findings
    from .output_file import write_json

    findings = examine()
    print_findings(Console(), findings)
    if json is not None:
        write_json(json, findings)
    if any(finding.needed and not finding.works for finding in findings):
        raise typer.Exit(1)


@app.command("cold-start")
def cold_start(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The HF folder to make.")],
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Optimiser steps.")] = None,
    seed: Annotated[int, typer.Option(help="Of the data, the initial weights and their order.")] = 0,
    json: Json = None,
) -> None:
    """Make the shipped policy from scratch: tokenizer, data, model, supervised training.

    About ten minutes on two cores. The tasks and the demonstrations are generated; nothing is downloaded.
    """
    from .cold_start import run_cold_start

    if out.exists():
        raise HeadwayError(f"{out}: is there already; give another folder")
    run_cold_start(out, steps=steps, seed=seed, json_file=json, console=Console())
