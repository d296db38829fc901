"""``headway bench``: measurements that back what this project claims."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .output_file import writable

app = typer.Typer(no_args_is_help=True, help="Measure what headway claims, on this machine.")

_WORKLOADS = "Workloads"
_ARMS = "Policies"
_EXECUTORS = "Executors"
_OUTPUT = "Output"


@app.callback()
def bench() -> None:
    """Measure what headway claims, on this machine."""


@app.command()
def scheduling(
    suites: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Of: math, swe, search, mixed. Default: all; none with --trace.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    pressures: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS",
            help="KV that the workload would fill if all of it were live, over what there is. "
            "Default: 0.3,0.5,1,2,3.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    groups: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="So many groups, whatever pressure that is.", rich_help_panel=_WORKLOADS
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Workloads for each suite and pressure. Default: 3.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Adds the suite `trace`: recorded sessions, one JSON object a line.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    clip: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="SECONDS", help="Longest wait taken from the trace.", rich_help_panel=_WORKLOADS
        ),
    ] = 60.0,
    max_context: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="TOKENS",
            help="Where sessions of the trace end. Default: what an engine can hold.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    engines: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help="Fleets to run on. Default: 8.", rich_help_panel=_WORKLOADS),
    ] = None,
    hardware: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="What the simulated engines are made of. Default: h100-14b; with --real: cpu-tiny.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    kv_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="TOKENS",
            help="KV cache of each engine. Default: the hardware's.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    policies: Annotated[
        str | None,
        typer.Option(
            metavar="SPECS",
            help="Such as headroom,capped:limit=26. Default: every policy.",
            rich_help_panel=_ARMS,
        ),
    ] = None,
    ablate: Annotated[
        bool,
        typer.Option("--ablate", help="Adds headroom without each of its mechanisms.", rich_help_panel=_ARMS),
    ] = False,
    sweep_caps: Annotated[
        bool,
        typer.Option(
            "--sweep-caps",
            help="Adds the policy `capped` at many limits; the best for each pressure is shown.",
            rich_help_panel=_ARMS,
        ),
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Other defaults, for a look within about a minute.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    real: Annotated[
        bool,
        typer.Option(
            "--real",
            help="Real vLLM engines, started afresh for every policy, in real time: two of a small "
            "random model, whose workloads have contexts of up to 4K. Minutes a policy.",
            rich_help_panel=_ARMS,
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes. Default: one a core.", rich_help_panel=_OUTPUT),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            callback=writable,
            help="Also write header, rows and verdicts here.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            callback=writable,
            help="Also write one page with the pressure curves here.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
) -> None:
    """Play the same workloads under every policy, and compare makespans with each other and with the bound.

    Engines are simulated in virtual time; scheduler and policies are the ones that run in production. All
    of a workload is submitted at once, as a step of reinforcement learning does; an agent's next turn
    starts when its tool has run. No policy knows how long a turn will be. Every policy starts on fresh
    engines and gets the same workload; several seeds give several workloads. The bound is what no schedule
    beats, even one that knows everything in advance.

    A look within a minute: `--quick`

    One question: `--suites swe --pressures 2,3 --policies headroom,thunder`

    What each mechanism is worth: `--policies headroom --ablate`

    A rival at its best: `--suites swe --policies headroom --sweep-caps`

    The step of the rStar2-Agent paper: `--suites math --groups 512 --engines 64 --seeds 1`

    Your own agents: `--trace sessions.jsonl --clip 60`

    Ctrl-C ends it; what was measured by then is shown and written.
    """
    from .bench_scheduling import Choice, run_scheduling

    choice = Choice(
        suites=suites,
        pressures=pressures,
        groups=groups,
        seeds=seeds,
        trace=trace,
        clip_s=clip,
        max_context=max_context,
        engines=engines,
        hardware=hardware,
        kv_tokens=kv_tokens,
        policies=policies,
        ablate=ablate,
        sweep_caps=sweep_caps,
        quick=quick,
        real=real,
    )
    cores = len(os.sched_getaffinity(0))
    run_scheduling(choice, jobs=jobs or cores, json_file=json, html_file=html, console=Console())


@app.command()
def recording(
    pairs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Runs with recording, and as many without.")
    ] = 8,
    engines: Annotated[int, typer.Option(min=1, metavar="N", help="vLLM engines.")] = 2,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", callback=writable, help="Also write every figure here."),
    ] = None,
) -> None:
    """Measure what it costs to record a run: tokens a second with and without, on real vLLM engines.

    The same workload is played again and again on engines that stay up, in pairs of one run that is recorded
    as headway records (event log, attribution, block names, the engines' pulse) and one that is not, in an
    order drawn by lot. The model is the shipped policy: so small that events come thicker than on any that
    is of use. Then the processor time of an event is measured on the events of such a run. Keep the machine
    free of other work.
    """
    from .bench_recording import run_recording

    run_recording(pairs=pairs, engines=engines, json_file=json, console=Console())


@app.command()
def sandbox(
    executors: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Of: headway, subprocess, bubblewrap. Default: all that are installed.",
            rich_help_panel=_EXECUTORS,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Calls that each executor runs at once. Default: one a core.",
            rich_help_panel=_EXECUTORS,
        ),
    ] = None,
    snippets: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Of: light, numpy, sympy, mixed. Default: all.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    outstanding: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS",
            help="Calls outstanding at once: the smallest number in the closed loops that compare executors, "
            "each other one in a burst of so many calls of headway. Default: four a worker, and 1024.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    calls: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Calls of a loop. Default: those of --seconds.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="How long a loop submits calls. A burst that would take 20 times as long is left out. "
            "Default: 5.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="CALLS/S",
            help="Arrivals of the open loops, for every executor.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    load: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Arrivals as a share of the executor's own closed rate in that round. Default: 0.6.",
            rich_help_panel=_WORKLOADS,
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Of everything. Default: 3.", rich_help_panel=_WORKLOADS),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of the calls and their arrivals.", rich_help_panel=_WORKLOADS)
    ] = 0,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Other defaults, for a look within about a minute.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    json: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            callback=writable,
            help="Also write header, rows and what they say here.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            callback=writable,
            help="Also write one page with bars and latency curves here.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
) -> None:
    """Run the same calls in headway's sandbox, in plain subprocesses and in bubblewrap.

    Rates come from closed loops: so many calls are always outstanding. Latencies come from open loops: calls
    arrive at random, whether or not those before them are answered, and a latency counts from the arrival.
    Executors take turns within a round and make the same calls, and ratios are made within a round, so a
    machine that is busy with something else for a while slows all of them.

    Every call prints a number of its own; one that comes back with a fault or with anything else is lost, and
    if one of headway's is, the exit status is 1. What isolation costs is the processor time of a call over
    that of a bare fork of the same warm interpreter, which runs alongside.

    Of `mixed`, 80 % are short and the rest computes or sleeps for up to 2 s, 0.3 s a call on average: the
    shape of an RL step's tool calls. A call that sleeps still holds its worker.

    A look within a minute: `--quick`

    Everything, with pictures: `--html sandbox.html` (ten minutes)

    The calls of a large RL step at once: `--snippets light --outstanding 8,45000 --rounds 1 --seconds 15`

    Latency of all at one rate: `--snippets light,numpy --rate 5`

    Ctrl-C ends it; what was measured by then is shown and written.
    """
    from .bench_sandbox import Choice, run_sandbox_bench

    choice = Choice(
        executors=executors,
        snippets=snippets,
        outstanding=outstanding,
        calls=calls,
        rate=rate,
        load=load,
        rounds=rounds,
        workers=workers or len(os.sched_getaffinity(0)),
        seed=seed,
        seconds=seconds,
        quick=quick,
    )
    run_sandbox_bench(choice, json_file=json, html_file=html, console=Console())


_Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Default: one a core.")]
_Seed = Annotated[int, typer.Option(help="Of what happens when.")]
_Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", callback=writable, help="Also write the figures here."),
]


@app.command()
def faults(
    kills: Annotated[int, typer.Option(min=1, metavar="N", help="Processes to kill.")] = 200,
    outstanding: Annotated[int, typer.Option(min=1, metavar="N", help="Calls at once.")] = 32,
    workers: _Workers = None,
    nodes: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Nodes of a Ray cluster, killed too. Default: none, no Ray."),
    ] = 0,
    seed: _Seed = 0,
    json: _Json = None,
) -> None:
    """Kill the sandbox's processes at random (kill -9) while calls run, and count what became of the calls.

    A child (what runs a snippet), a slot (what watches it) or a zygote (what slots are forked from) is killed
    ten times a second. Every call prints a number of its own; the exit status is 1 if one was
    lost or answered wrongly, or if a process is left in the end.

    As hostile as it gets: `--kills 1000` (some minutes)

    With nodes of a cluster: `--kills 1000 --nodes 2 --workers 1`
    """
    from .bench_stress import run_faults

    run_faults(
        kills=kills,
        outstanding=outstanding,
        workers=workers or len(os.sched_getaffinity(0)),
        nodes=nodes,
        seed=seed,
        json_file=json,
        console=Console(),
    )


@app.command()
def agents(
    agents: Annotated[int, typer.Option(min=1, metavar="N", help="Agents.")] = 5000,
    within: Annotated[
        float, typer.Option(min=0.0, metavar="SECONDS", help="They call at random times within so long.")
    ] = 5.0,
    workers: _Workers = None,
    seed: _Seed = 0,
    json: _Json = None,
) -> None:
    """Let many agents wait for a tool call at once, and measure how late that makes their event loop.

    A timer in the loop says by how much a scheduler in it would be late. The calls are light ones; the
    sandbox answers them at its own rate, so most agents wait for most of the time.

    The paper's step: `--agents 45000 --within 20`
    """
    from .bench_stress import run_agents

    run_agents(
        agents=agents,
        within_s=within,
        workers=workers or len(os.sched_getaffinity(0)),
        seed=seed,
        json_file=json,
        console=Console(),
    )
