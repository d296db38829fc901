"""``headway calibrate``: its options and its help."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headway.errors import InputError

from .bench_options import numbers, specs
from .output_file import writable

_OF_RUNS = {"out", "run", "max_batched_tokens"}


def calibrate(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE.toml", callback=writable, help="Where the hardware profile goes."),
    ],
    run: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN",
            help="Fit to what a recorded run did, instead of starting engines: a run folder or an event log "
            "with steps/ beside it. Repeatable: of several, every third (of two the second) is held out.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="An HF model folder. Default: a small one with random weights."),
    ] = None,
    engines: Annotated[
        int, typer.Option(min=1, metavar="N", help="Engines side by side, as many as will be used.")
    ] = 2,
    kv_tokens: Annotated[int, typer.Option(min=1, metavar="TOKENS", help="KV cache of each engine.")] = 20480,
    max_context: Annotated[int, typer.Option(min=1, metavar="TOKENS", help="Longest context.")] = 4096,
    max_num_seqs: Annotated[int, typer.Option(min=1, metavar="N", help="Turns at a time, an engine.")] = 64,
    max_batched_tokens: Annotated[int, typer.Option(min=1, metavar="TOKENS", help="Of a step.")] = 2048,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Of an engine on a CPU.")] = 1,
    clients: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help="Turns at a time of the runs. Default: 1,8,3,12,5,2,8,4,12,6."),
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            metavar="POLICIES",
            help="Then play a workload under these, real and simulated, and note the error; minutes each.",
        ),
    ] = "",
    pressure: Annotated[
        float, typer.Option(min=0.1, metavar="NUMBER", help="KV pressure of that workload.")
    ] = 2.0,
) -> None:
    """Measure how long a step of an engine takes on this machine, for simulations of it.

    Starts vLLM engines, puts ten known loads on them (a few minutes on a CPU), fits the time of a step to
    what they record, and says how far it is off on the runs that it did not see. Use the file with headway
    bench scheduling --hardware FILE.toml. Keep the machine free of other work meanwhile.

    With --run nothing is started: the steps are those that a run recorded (step_record = true in [engines],
    or headway rollout --events FILE --step-record). A run is cut into nine spans of time, of which every
    third is held out; then it is replayed as it was, and the error noted.
    """
    if run:
        _require_no_other(context)
        from .calibration_run import run_recorded_calibration

        limit = max_batched_tokens if _is_given(context, "max_batched_tokens") else None
        run_recorded_calibration(run, max_batched_tokens=limit, out=out, console=Console())
        return
    from headway.profiles.calibration import LOADS, Load
    from headway.profiles.real_engines import RealEngines
    from headway.scheduler import make_policy

    from .calibration import Check, run_calibration

    what = RealEngines(
        engines=engines,
        kv_tokens=kv_tokens,
        max_context=max_context,
        max_num_seqs=max_num_seqs,
        max_batched_tokens=max_batched_tokens,
        threads=threads,
        model=model,
    )
    loads = [Load(clients=n) for n in numbers("--clients", clients, int)] if clients else list(LOADS)
    check = Check(policies=specs(against), pressure=pressure)
    for spec in check.policies:
        make_policy(spec)  # an unknown one is said before engines start
    run_calibration(what, loads, check=check, out=out, console=Console())


def _require_no_other(context: typer.Context) -> None:
    """Raise ``InputError`` for an option that is about engines to start."""
    for name in context.params:
        if name not in _OF_RUNS and _is_given(context, name):
            option = name.replace("_", "-")
            raise InputError(f"--{option} is about engines to start, and --run fits what was recorded")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
