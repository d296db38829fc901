"""``headway calibrate --run``: fits a hardware profile to recorded runs, and holds it against them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from headway.errors import HeadwayError
from headway.profiles.hardware_writer import write_hardware
from headway.profiles.replay.check import Check, check_on, error_text
from headway.profiles.run_fit import RunFit, fit_recorded
from headway.profiles.run_steps import read_run_steps

from .calibration import print_fit


def run_recorded_calibration(
    runs: Sequence[Path], *, max_batched_tokens: int | None, out: Path, console: Console
) -> None:
    """Do all of it; the file is there as soon as there is a fit, and again with its error."""
    read = [read_run_steps(run) for run in runs]
    for run in read:
        seconds = sum(step.seconds for step in run.steps)
        console.print(
            f"{run.name}: {len(run.steps):,} steps, {seconds:.1f} s; a turn was {run.under_way_s * 1000:.0f} "
            "ms on its way to the engine and back, which no simulation has",
            highlight=False,
            soft_wrap=True,
        )
    fitted = fit_recorded(read, name=out.stem, max_batched_tokens=max_batched_tokens)
    print_fit(fitted.fit, console)
    write_hardware(fitted.hardware, out)
    checks = list(_checks(fitted, runs, console))
    said = [fitted.fit.text]
    if checks:
        _print_checks(checks, console)
        said.insert(0, error_text(checks, fitted=not fitted.held_out))
    error = "; ".join(filter(None, said))
    write_hardware(msgspec.structs.replace(fitted.hardware, error=error), out)
    console.print(error, highlight=False, soft_wrap=True)
    console.print(f"{out}: written; fitted to all steps", highlight=False, soft_wrap=True)


def _checks(fitted: RunFit, runs: Sequence[Path], console: Console) -> Iterator[Check]:
    """Replay the runs that the fit was not made of, or the only one there is."""
    for run in [runs[place] for place in fitted.held_out] or runs:
        try:
            yield check_on(run, fitted.judged)
        except HeadwayError as error:
            console.print(f"{run}: cannot be replayed: {error}", style="yellow", highlight=False)


def _print_checks(checks: Sequence[Check], console: Console) -> None:
    table = Table(box=None, header_style="dim")
    table.add_column("replayed as it was")
    for column in ("took", "simulated", "off by", "idle", "simulated"):
        table.add_column(column, justify="right")
    for check in checks:
        table.add_row(
            f"{check.name}, {check.policy}",
            f"{check.recorded.makespan_s:.1f} s",
            f"{check.replayed.makespan_s:.1f} s",
            f"{check.error:+.1%}",
            f"{check.recorded.idle_share:.1%}",
            f"{check.replayed.idle_share:.1%}",
        )
    console.print(table)
