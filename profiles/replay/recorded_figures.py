"""What a recorded run itself came to, in the figures of a replay."""

from pathlib import Path

import msgspec

from ..event_log import Reader
from ..gpu.sample import GpuSample
from ..traces.recorded import Recorded
from .figures import Figures, Tally


def figures_of(recorded: Recorded) -> Figures:
    """The figures, read from the run's log: of the trajectories that can be played, save that waits and
    engines' time are those of the whole run."""
    tally = Tally(recorded.engine_ids)
    for event in Reader(Path(recorded.log)):
        if not isinstance(event, GpuSample):  # they may stand behind events that are later
            tally.emit(event)
    return msgspec.structs.replace(
        tally.figures(),
        makespan_s=recorded.last_turn_s,
        turns=recorded.turns,
        generated=recorded.generated,
        prompt=recorded.prompt,
        cached=recorded.cached,
        preemptions=recorded.preemptions,
    )
