"""``headway replay``: its options and its help."""

from typing import Annotated

import typer
from rich.console import Console

from . import session_options as options
from . import trace_options as trace_opts

_WHAT_IF = "What if"
_OUTPUT = "Output"


def replay(
    trace: trace_opts.TracePath,
    policies: Annotated[
        str | None,
        typer.Option(
            metavar="SPECS",
            help="Such as headroom,capped:limit=26; or all. Default: the recorded run's own; of other traces "
            "headroom, sticky_least_loaded and thunder.",
            rich_help_panel=_WHAT_IF,
        ),
    ] = None,
    engines: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS|auto",
            help="Fleets to play it on, such as 4,8,16; auto: a quarter, half, as many and twice as many as "
            "there were. Default: as many as there were; of other traces 8.",
            rich_help_panel=_WHAT_IF,
        ),
    ] = None,
    hardware: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="What the engines are made of: a shipped profile, or one of headway calibrate. Default: "
            "fitted to the run's own steps, where it recorded them; of other traces h100-14b.",
            rich_help_panel=_WHAT_IF,
        ),
    ] = None,
    kv_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="TOKENS",
            help="KV cache of each engine. Default: the recorded run's, or the hardware's.",
            rich_help_panel=_WHAT_IF,
        ),
    ] = None,
    pressure: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Draw groups from the trace, all begun at once, until they would fill the KV cache of the "
            "largest fleet so many times. Default: the whole trace, as it was.",
            rich_help_panel=_WHAT_IF,
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Draws; with --real, runs.", rich_help_panel=_WHAT_IF),
    ] = 1,
    real: Annotated[
        bool,
        typer.Option(
            "--real",
            help="Real vLLM engines, started afresh for every policy, in real time: lengths and times as "
            "recorded, made-up tokens.",
            rich_help_panel=_WHAT_IF,
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="With --real: an HF model folder. Default: the recorded run's, else a small random one.",
            rich_help_panel=_WHAT_IF,
        ),
    ] = None,
    attempt: trace_opts.Attempt = None,
    clip: trace_opts.Clip = None,
    max_context: trace_opts.MaxContext = None,
    too_long: trace_opts.TooLongOption = "cut",
    turn_limit: trace_opts.TurnLimit = None,
    latency: trace_opts.Latency = None,
    tokenizer: trace_opts.Tokenizer = None,
    latency_seed: trace_opts.LatencySeed = 0,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes. Default: one a core.", rich_help_panel=_OUTPUT),
    ] = None,
    json: options.Json = None,
) -> None:
    """Play a recorded workload again: under other policies, on other fleets, on other hardware.

    Closed loop: a trajectory's next turn begins when its last one has completed and its tool has taken the
    time that it took; a group begins when the work before it has completed. Scheduler and policies are the
    ones that run in production; engines are simulated in virtual time. Contexts longer than an engine can
    hold are cut, and that is said.

    What the run would have taken on other fleets: `headway replay runs/mine --engines auto`

    Under other policies, on GPUs: `headway replay runs/mine --policies headroom,thunder --hardware h100-14b`

    Other agents' sessions: `headway replay sessions.jsonl --clip 60 --too-long scale --policies all`

    Ctrl-C ends it; what was played by then is shown and written.
    """
    from headway.profiles.hardware_profiles import load_hardware
    from headway.profiles.replay.plan import Asked, policies_of

    from .bench_options import specs
    from .replay_run import fleets, run_replay

    read = trace_opts.trace_options(
        attempt=attempt,
        clip=clip,
        max_context=max_context,
        too_long=too_long,
        turn_limit=turn_limit,
        latency=latency,
        tokenizer=tokenizer,
        seed=latency_seed,
    )
    counts, auto = fleets(engines)
    asked = Asked(
        trace=trace,
        options=read,
        policies=policies_of(specs(policies)) if policies is not None else None,
        engines=counts,
        auto=auto,
        hardware=load_hardware(hardware) if hardware is not None else None,
        kv_tokens=kv_tokens,
        pressure=pressure,
        seeds=seeds,
        real=real,
    )
    run_replay(asked, model=model, jobs=jobs, json_file=json, console=Console())
