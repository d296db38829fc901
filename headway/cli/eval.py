"""``headway eval``: its options and its help."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headway.errors import InputError

from . import session_options as options
from .output_file import writable


def evaluate(
    model: Annotated[str | None, options.ModelOption] = None,
    tasks: Annotated[str | None, options.TasksOption] = None,
    samples: options.Samples = 1,
    k: Annotated[
        str | None,
        typer.Option("--k", metavar="NUMBERS", help="Of pass@k. Default: 1, 2, 4 and so on up to --samples."),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A.json B.json", help="Compare two evaluations, task by task, instead of making one."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl", callback=writable, help="Keep the rollouts here, written as they finish."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --out: roll out only what it lacks.")
    ] = False,
    format: options.Format = "auto",
    seed: Annotated[int, typer.Option(help="Of the order of choices in gpqa.")] = 0,
    engines: options.Engines = 1,
    policy: options.Policy = "headroom",
    max_context: options.MaxContext = None,
    kv_tokens: options.KvTokens = None,
    max_turns: options.MaxTurns = 10,
    max_turn_tokens: options.MaxTurnTokens = 4096,
    temperature: options.Temperature = 1.0,
    top_p: options.TopP = 1.0,
    device: options.DeviceName = "auto",
    tensor_parallel_size: options.TensorParallel = 1,
    json: options.Json = None,
) -> None:
    """Say how good a model is on tasks, and how sure that is.

    Rolls out as `headway rollout` does, and reports pass@k, avg@n, response length, tool errors and the share
    that was cut off, each with a 95 % interval whose unit is the task.

    A model on AIME, 16 rollouts a task: `--model DIR --tasks aime24.jsonl --samples 16 --json a.json`

    Two models: `--compare a.json b.json`: the difference on the tasks that both solved, with its interval.

    A file of rollouts that is whole already: `--out rollouts.jsonl --resume` starts no engine.

    Ctrl-C ends it; what was rolled out by then is shown and written.
    """
    if compare is not None:
        from .evaluation import run_comparison

        if model is not None or tasks is not None:
            raise InputError(
                "--compare takes two files of `headway eval --json`, and neither model nor tasks"
            )
        run_comparison(*compare, json_file=json, console=Console())
        return
    if model is None or tasks is None:
        raise InputError("give --model and --tasks, or --compare with two evaluations")
    if resume and out is None:
        raise InputError("--resume goes on with a file of rollouts; name it with --out")
    from headway.scheduler import task_format

    from .evaluation import run_evaluation
    from .rollouts import RolloutJob

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
    )
    job = RolloutJob(
        tasks=tasks,
        samples=samples,
        out=out or Path("rollouts.jsonl"),
        resume=resume,
        format=task_format(format),
        seed=seed,
    )
    run_evaluation(config, job, ks=k, keep=out is not None, json_file=json, console=Console())
