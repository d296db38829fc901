"""``headway trace``: its commands, their options and their help."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from . import session_options as options
from . import trace_options as trace_opts

app = typer.Typer(
    no_args_is_help=True,
    help="""Look into recorded workloads, check them, and turn them into other formats.

    A trace is a run folder or an event log of headway (.jsonl, .jsonl.gz), sessions in LLMServingSim's
    format, recorded sessions of agents, or chats in the shape of OpenAI's API. Which it is, its content
    says.""",
)


class Target(StrEnum):
    """A format to export to."""

    PARQUET = "parquet"
    LLMSERVINGSIM = "llmservingsim"
    SESSIONS = "sessions"


@app.callback()
def trace() -> None:
    """Look into recorded workloads, check them, and turn them into other formats."""


@app.command()
def info(
    trace: trace_opts.TracePath,
    attempt: trace_opts.Attempt = None,
    latency: trace_opts.Latency = None,
    tokenizer: trace_opts.Tokenizer = None,
    json: options.Json = None,
) -> None:
    """Say what is in a trace.

    Of an event log: its schema, engines, model and policy, its span, the events by kind, trajectories, turns
    and tokens, how long tools took, and whether anything is missing. Of other formats: groups, turns, lengths
    and waits, and what to know of figures from them.

        headway trace info runs/mine

        headway trace info sessions.jsonl
    """
    from .trace_info import run_info

    read = trace_opts.trace_options(attempt=attempt, latency=latency, tokenizer=tokenizer)
    run_info(trace, read, json_file=json, console=Console())


@app.command()
def validate(
    trace: trace_opts.TracePath,
    attempt: trace_opts.Attempt = None,
    show: Annotated[int, typer.Option(min=1, metavar="N", help="Problems to print.")] = 20,
    json: options.Json = None,
) -> None:
    """Check every line of a trace.

    Of an event log: each line is an event, time does not go back, every trajectory starts and ends once, its
    turns are ready, dispatched, ended (or abandoned) in this order, its tools end, engines are known, and as
    many events are there as the writer counted. An incomplete last line is a warning: so a killed process
    leaves it. Of other formats: each line can be read.

    Exit status: 0 nothing wrong, 1 problems found, 2 the trace cannot be read.
    """
    from headway.profiles.traces.validate import validate as check

    from .output_file import write_json
    from .trace_validate import print_validation

    found = check(trace, attempt=attempt)
    if json is not None:
        write_json(json, found)
    print_validation(Console(), found, most=show)
    if found.found:
        raise typer.Exit(1)


@app.command()
def export(
    trace: trace_opts.TracePath,
    to: Annotated[Target, typer.Option("--to", help="The format.")],
    out: Annotated[
        Path, typer.Option(metavar="FILE|DIR", help="A file; of parquet a folder that is not there yet.")
    ],
    attempt: trace_opts.Attempt = None,
    clip: trace_opts.Clip = None,
    max_context: trace_opts.MaxContext = None,
    too_long: trace_opts.TooLongOption = "cut",
    turn_limit: trace_opts.TurnLimit = None,
    latency: trace_opts.Latency = None,
    tokenizer: trace_opts.Tokenizer = None,
    seed: trace_opts.LatencySeed = 0,
) -> None:
    """Write a trace in another format.

    parquet: an event log as four tables (turns, trajectories, tools, engines), whole, with the unit of every
    column in its metadata. llmservingsim and sessions: any trace as one session a trajectory, lengths and
    times; what they cannot say (that siblings share a prompt, that a group begins as another completes) is
    lost, and said.

        headway trace export runs/mine --to parquet --out tables

        headway trace export chats.jsonl --to llmservingsim --latency constant:1.5 --out sessions.jsonl
    """
    from .trace_export import run_export

    read = trace_opts.trace_options(
        attempt=attempt,
        clip=clip,
        max_context=max_context,
        too_long=too_long,
        turn_limit=turn_limit,
        latency=latency,
        tokenizer=tokenizer,
        seed=seed,
    )
    run_export(trace, read, to=to.value, out=out, console=Console())
