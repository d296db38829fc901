"""Fits a hardware profile to the steps of recorded runs.

One run is cut into spans of time, of which every third is held out; of several runs, whole ones are.
Knows nothing of files.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from headway.engine.simulated.hardware import Hardware
from headway.engine.step_record import StepRecord
from headway.errors import InputError

from .calibration import StepRun
from .fit import Fit, fit_runs, fit_steps
from .run_steps import RunSteps

SPANS = 9
_HOLD_OUT = 3
_LEAST_LIMIT = 256  # tokens: what many steps have in common below it is how many turns there were
_UNLIMITED = 8192  # tokens of a step, where the recorded steps show no limit


class RunFit(msgspec.Struct, frozen=True, kw_only=True):
    """``hardware`` is fitted to all steps; ``judged`` to those that are not held out, as ``fit`` says.

    ``held_out`` are the places of the runs that ``judged`` has seen nothing of; empty where it was one run.
    """

    hardware: Hardware
    judged: Hardware
    fit: Fit
    held_out: list[int]


def fit_recorded(runs: Sequence[RunSteps], *, name: str, max_batched_tokens: int | None = None) -> RunFit:
    """Fit to at least one run; raises ``InputError`` for runs of engines that are not alike."""
    require_alike(runs)
    parts = runs[0].spans(SPANS) if len(runs) == 1 else [StepRun(run.name, run.steps) for run in runs]
    every = min(_HOLD_OUT, max(len(parts), 2))
    fit = fit_runs(parts, hold_out=every)
    steps = [step for run in runs for step in run.steps]
    hardware = _hardware(name, runs, steps, max_batched_tokens or batch_limit(steps))
    return RunFit(
        hardware=hardware,
        judged=msgspec.structs.replace(hardware, step=fit.step),
        fit=fit,
        held_out=list(range(every - 1, len(runs), every)) if len(runs) > 1 else [],
    )


def require_alike(runs: Sequence[RunSteps]) -> None:
    """Raise ``InputError`` unless one model ran on one kind of device."""
    first = runs[0]
    for run in runs[1:]:
        for what, mine, others in (
            ("model", _model(first), _model(run)),
            ("device", first.engines[0].device, run.engines[0].device),
        ):
            if mine != others:
                raise InputError(
                    f"{first.name} and {run.name} cannot make one profile: the {what} was {mine}, and then "
                    f"{others}"
                )


def batch_limit(steps: Sequence[StepRecord]) -> int:
    """The most tokens of a step: a size that no step exceeds, and that several have."""
    sizes = Counter(step.prefill + step.decode for step in steps)
    largest = max(sizes)
    return largest if sizes[largest] > 1 and largest >= _LEAST_LIMIT else max(largest, _UNLIMITED)


def _hardware(
    name: str, runs: Sequence[RunSteps], steps: Sequence[StepRecord], max_batched_tokens: int
) -> Hardware:
    engine = runs[0].engines[0]
    seats = engine.max_num_seqs or min(256, max_batched_tokens)
    updates = [run.weight_update_s for run in runs if run.weight_update_s is not None]
    count = f"{len(runs[0].engines)} engine{'s' if len(runs[0].engines) > 1 else ''}"
    return Hardware(
        name=name,
        source=(
            f"{engine.kind} {engine.version} ({engine.device}) with {_model(runs[0])}, {count}; fitted to "
            f"{len(steps):,} recorded steps of {', '.join(run.name for run in runs)}"
        ),
        measured=True,
        step=fit_steps(steps)[0],
        kv_tokens=engine.kv_tokens,
        block_size=engine.block_size,
        max_num_seqs=seats,
        max_batched_tokens=max(max_batched_tokens, seats),
        max_context=engine.max_context,
        weight_update_s=sum(updates) / len(updates) if updates else 1.0,
    )


def _model(run: RunSteps) -> str:
    return Path(run.model).name
