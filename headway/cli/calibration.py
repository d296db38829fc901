"""``headway calibrate``: loads engines, fits a hardware profile to what they record, and writes it.

Then holds simulations with it against the same engines, where policies to do so with were named.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from headway.engine import EngineInfo
from headway.engine.simulated import Hardware
from headway.profiles.against_real import Agreement, Pair, run_real, simulate
from headway.profiles.calibration import Load, StepRun, record_runs
from headway.profiles.fit import Fit, fit_runs, fit_steps
from headway.profiles.hardware_writer import write_hardware
from headway.profiles.real_engines import RealEngines, open_real_engines
from headway.profiles.small_suites import suite_maker


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What to hold the profile against: a suite at a pressure, under each of the policies."""

    policies: list[str]
    suite: str = "swe"
    pressure: float = 2.0
    seed: int = 0


def run_calibration(
    what: RealEngines, loads: list[Load], *, check: Check, out: Path, console: Console
) -> None:
    """Do all of it; the file is there as soon as there is a fit, and again with its error."""
    console.print(f"starting {what.engines} engines", highlight=False)
    with tempfile.TemporaryDirectory(prefix="headway-steps-") as folder:
        runs, info = asyncio.run(_record(what, Path(folder), loads, console))
    print_fit(fit_runs(runs), console)
    hardware = _hardware(out.stem, what, info, runs)
    write_hardware(hardware, out)
    console.print(f"{out}: written; fitted to all runs", highlight=False)
    if check.policies:
        agreement = Agreement.of(list(_pairs(what, hardware, check, console)))
        write_hardware(msgspec.structs.replace(hardware, error=agreement.text), out)
        console.print(f"{out}: written; {agreement.text}", highlight=False)


async def _record(
    what: RealEngines, folder: Path, loads: list[Load], console: Console
) -> tuple[list[StepRun], EngineInfo]:
    runs = []
    async with open_real_engines(msgspec.structs.replace(what, step_record=str(folder))) as engines:
        async for run in record_runs(engines, folder, loads):
            runs.append(run)
            seconds = sum(step.seconds for step in run.steps)
            console.print(f"{run.name}: {len(run.steps):,} steps, {seconds:.1f} s", highlight=False)
        return runs, engines[0].info


def _pairs(what: RealEngines, hardware: Hardware, check: Check, console: Console) -> Iterator[Pair]:
    workload = suite_maker(hardware)(
        check.suite,
        seed=check.seed,
        hardware=hardware,
        engines=what.engines,
        kv_tokens=what.kv_tokens,
        pressure=check.pressure,
    )
    for policy in check.policies:
        real = asyncio.run(run_real(workload, what, policy=policy))
        simulated = simulate(workload, what, hardware=hardware, policy=policy)
        pair = Pair(workload=workload.name, policy=policy, real=real, simulated=simulated)
        console.print(
            f"{pair.workload}, {policy}: real {real.makespan_s:.1f} s, simulated "
            f"{simulated.makespan_s:.1f} s ({pair.error:+.1%})",
            highlight=False,
        )
        yield pair


def _hardware(name: str, what: RealEngines, info: EngineInfo, runs: list[StepRun]) -> Hardware:
    steps = [step for run in runs for step in run.steps]
    model = Path(what.model).name if what.model else "a random Qwen3 of 34 million parameters"
    return Hardware(
        name=name,
        source=(
            f"vLLM {info.version} ({info.device}) with {model}, {what.engines} engines side by side; "
            f"headway calibrate, fitted to {len(steps):,} steps of {len(runs)} runs"
        ),
        measured=True,
        step=fit_steps(steps)[0],
        kv_tokens=info.kv_tokens,
        block_size=info.block_size,
        max_num_seqs=what.max_num_seqs,
        max_batched_tokens=what.max_batched_tokens,
        max_context=info.max_context,
    )


def print_fit(fit: Fit, console: Console) -> None:
    """Say how far the fit is off on what it was not made of."""
    table = Table("not fitted", "steps took", "fit says", "off by")
    for run in fit.held_out:
        table.add_row(run.name, f"{run.seconds:.1f} s", f"{run.fitted:.1f} s", f"{run.error:+.1%}")
    if fit.held_out:
        console.print(table)
    share = fit.left_out / fit.steps
    console.print(f"{share:.0%} of the steps did not set the proportions: outliers", highlight=False)
