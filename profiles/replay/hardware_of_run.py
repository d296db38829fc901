"""What hardware stands in for the engines of a recorded run, where nobody names any."""

from pathlib import Path

import msgspec

from headway.engine.simulated.hardware import Hardware

from ..hardware_profiles import HARDWARE_NAMES, load_hardware
from ..run_fit import fit_recorded
from ..run_steps import has_steps, read_run_steps
from ..traces.recorded import Recorded

_ON_GPU, _ON_CPU = "h100-14b", "cpu-tiny"


class StandIn(msgspec.Struct, frozen=True):
    """The hardware, and what has to be said of its choice."""

    hardware: Hardware
    note: str


def hardware_of_run(recorded: Recorded) -> StandIn:
    """Fitted to the run's own steps where it recorded them; what it was simulated with; else a guess."""
    log = Path(recorded.log)
    if recorded.engines and has_steps(log):
        fitted = fit_recorded([read_run_steps(log)], name=f"{log.parent.name or 'run'}-steps")
        hardware = msgspec.structs.replace(fitted.hardware, error=fitted.fit.text)
        return StandIn(hardware, "step times fitted to the run's own steps")
    device = recorded.engines[0].device if recorded.engines else ""
    if device in HARDWARE_NAMES:
        return StandIn(load_hardware(device), "")
    name = _ON_CPU if device == "cpu" else _ON_GPU
    return StandIn(
        load_hardware(name),
        f"the run has no record of its steps: step times are those of {name}, which is a guess; name other "
        "hardware (--hardware), or have engines record their steps (step_record = true in [engines])",
    )
