"""The ways in which NVML tells a GPU's activity: hardware counters, the driver's history, its latest figure.

Knows nothing of what becomes of the figures.
"""

import math
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

import pynvml

from .driver import Activity, Handle, NotMeasured, share
from .sample import Measure

_GPM_REFRESH_NS = 100_000_000  # the counters are refreshed this often, says NVML's manual
_GPM_METRICS = (pynvml.NVML_GPM_METRIC_SM_UTIL, pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL)
_SHORTEST_NS, _LONGEST_NS = 1_000_000_000 // 6, 1_000_000_000  # of the driver's sample periods, by the manual


class GpmMeter:
    """SM activity and DRAM bandwidth between two samples of the hardware counters (Hopper and later)."""

    measure: Measure = "gpm"
    has_dram = True
    resolution_s = _GPM_REFRESH_NS / 1e9

    def __init__(self, handle: Handle, now: int) -> None:
        if not pynvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice:
            raise NotMeasured("this GPU has no GPM, which came with Hopper")
        self._before, self._after = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
        self._question: Any = pynvml.c_nvmlGpmMetricsGet_t()
        self._since = now
        pynvml.nvmlGpmSampleGet(handle, self._before)

    def read(self, handle: Handle, now: int) -> list[Activity]:
        """The time since the last sample; nothing before the counters can have changed."""
        span = now - self._since
        if span <= _GPM_REFRESH_NS:
            return []
        pynvml.nvmlGpmSampleGet(handle, self._after)
        question = self._question
        question.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        question.sample1, question.sample2 = self._before, self._after
        question.numMetrics = len(_GPM_METRICS)
        for slot, metric in zip(question.metrics, _GPM_METRICS, strict=False):
            slot.metricId = metric
        self._before, self._after, self._since = self._after, self._before, now
        pynvml.nvmlGpmMetricsGet(question)
        sm, dram = question.metrics[0], question.metrics[1]
        if sm.nvmlReturn != pynvml.NVML_SUCCESS:
            raise pynvml.NVMLError(sm.nvmlReturn)
        if not math.isfinite(sm.value):
            return []
        has_dram = dram.nvmlReturn == pynvml.NVML_SUCCESS and math.isfinite(dram.value)
        return [
            Activity(t=now, span_ns=span, sm=share(sm.value), dram=share(dram.value) if has_dram else None)
        ]

    def close(self) -> None:
        """Free both samples."""
        for sample in (self._before, self._after):
            pynvml.nvmlGpmSampleFree(sample)


class DriverSamplesMeter:
    """The samples that the driver takes by itself, some per second, and keeps for a while.

    Their stamps are of the wall clock. They are moved onto ``clock`` by what the two clocks show as they are
    read, so a wall clock that is set in between puts the samples of one reading off by as much.
    """

    measure: Measure = "driver samples"
    has_dram = False

    def __init__(
        self,
        handle: Handle,
        *,
        wall: Callable[[], int] = time.time_ns,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall = wall
        self._clock = clock
        stamps = [stamp for stamp, _ in _history(handle, 0)]
        self._last = stamps[-1] if stamps else wall() // 1000
        gaps = [later - earlier for earlier, later in pairwise(stamps)]
        self.resolution_s = median(gaps) / 1e6 if gaps else _SHORTEST_NS / 1e9

    def read(self, handle: Handle, now: int) -> list[Activity]:
        """The samples that have been taken since the last call."""
        ahead = self._wall() - self._clock()
        activity = []
        for stamp, percent in _history(handle, self._last):
            span = min((stamp - self._last) * 1000, _LONGEST_NS)
            self._last = stamp
            activity.append(Activity(t=min(stamp * 1000 - ahead, now), span_ns=span, sm=share(percent)))
        return activity

    def close(self) -> None:
        """Nothing was lent."""


class UtilizationMeter:
    """The driver's latest figure, which is of its own last sample period."""

    measure: Measure = "utilization"
    has_dram = False
    resolution_s = _LONGEST_NS / 1e9

    def __init__(self, handle: Handle, now: int) -> None:
        self._since = now
        pynvml.nvmlDeviceGetUtilizationRates(handle)

    def read(self, handle: Handle, now: int) -> list[Activity]:
        """It stands for the time since the last call, and for no more than the shortest sample period."""
        rates: Any = pynvml.nvmlDeviceGetUtilizationRates(handle)
        span, self._since = min(now - self._since, _SHORTEST_NS), now
        return [Activity(t=now, span_ns=span, sm=share(rates.gpu))]

    def close(self) -> None:
        """Nothing was lent."""


def code_of(error: Any) -> int:
    """The number of an NVMLError."""
    return int(error.value)


def _history(handle: Handle, since: int) -> list[tuple[int, int]]:
    """Time (µs, wall clock) and percent of the driver's samples after ``since``, in order."""
    try:
        _, samples = pynvml.nvmlDeviceGetSamples(handle, pynvml.NVML_GPU_UTILIZATION_SAMPLES, since)
    except pynvml.NVMLError as error:
        if code_of(error) == pynvml.NVML_ERROR_NOT_FOUND:  # there are none
            return []
        raise
    return sorted(
        (int(each.timeStamp), int(each.sampleValue.uiVal)) for each in samples if each.timeStamp > since
    )
