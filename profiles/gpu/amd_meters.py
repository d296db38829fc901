"""The ways in which AMD SMI tells a GPU's activity: the firmware's counters, and its latest figure.

Knows nothing of what becomes of the figures.
"""

from typing import Any

from .driver import Activity, Handle, NotMeasured, share
from .sample import Measure

_TICK_NS = 1_000_000  # the firmware adds the percentage of each millisecond to its counters
_WRAP = 1 << 32  # of the counters: at full load they come round every twelve hours
_SLACK = 1.1  # a counter and its time stamp are up to a tick apart
_LONGEST_NS = 1_000_000_000
_UNTOLD = {(1 << bits) - 1 for bits in (16, 32, 64)}  # what the driver fills in where it knows no figure


class AccumulatorMeter:
    """The share of time in which the compute pipes and the memory were busy, between two counts."""

    measure: Measure = "accumulator"
    has_dram = True
    resolution_s = _TICK_NS / 1e9

    def __init__(self, smi: Any, handle: Handle) -> None:
        self._smi = smi
        self._types = [
            smi.AmdSmiUtilizationCounterType.COARSE_GRAIN_GFX_ACTIVITY,
            smi.AmdSmiUtilizationCounterType.COARSE_GRAIN_MEM_ACTIVITY,
        ]
        self._before = self._count(handle)
        if self._before[1] is None:
            raise NotMeasured("the GPU keeps no activity counter")

    def read(self, handle: Handle, now: int) -> list[Activity]:
        """The time since the last count; nothing where the counters have not moved on or began anew."""
        before, after = self._before, self._count(handle)
        span = after[0] - before[0]
        if span < _TICK_NS:
            return []
        self._before = after
        sm, dram = (_share(*counts, span) for counts in zip(before[1:], after[1:], strict=True))
        return [] if sm is None else [Activity(t=now, span_ns=span, sm=sm, dram=dram)]

    def close(self) -> None:
        """Nothing was lent."""

    def _count(self, handle: Handle) -> tuple[int, int | None, int | None]:
        """Time in ns, and the counters of compute and memory."""
        stamp, *counters = self._smi.amdsmi_get_utilization_count(handle, self._types)
        values = {"MEM" in counter["type"]: number(counter["value"]) for counter in counters}
        return stamp["timestamp"], values[False], values[True]


class ActivityMeter:
    """The firmware's latest figure, an average over a time that AMD does not tell."""

    measure: Measure = "utilization"
    has_dram = True
    resolution_s = _LONGEST_NS / 1e9

    def __init__(self, smi: Any, handle: Handle, now: int) -> None:
        self._smi = smi
        self._since = now
        self.read(handle, now)

    def read(self, handle: Handle, now: int) -> list[Activity]:
        """It stands for the time since the last call, and for no more than a second."""
        figures = self._smi.amdsmi_get_gpu_activity(handle)
        sm, dram = number(figures["gfx_activity"]), number(figures["umc_activity"])
        if sm is None:
            raise NotMeasured("the GPU does not tell its activity")
        span, self._since = min(now - self._since, _LONGEST_NS), now
        return [Activity(t=now, span_ns=span, sm=share(sm), dram=None if dram is None else share(dram))]

    def close(self) -> None:
        """Nothing was lent."""


def number(value: object) -> int | None:
    """A figure of AMD SMI; None for what it says where there is none."""
    return value if isinstance(value, int) and value not in _UNTOLD else None


def _share(before: int | None, after: int | None, span: int) -> float | None:
    if before is None or after is None:
        return None
    percent = (after - before) % _WRAP * _TICK_NS / span
    return share(percent) if percent <= 100 * _SLACK else None
