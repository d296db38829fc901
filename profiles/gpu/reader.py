"""Reads one GPU: its activity by the best way that it offers, and its levels at that moment.

Invariant: nothing raises, whatever becomes of the GPU; ``facts`` says what cannot be read. Knows nothing of
vendors.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from .attempts import Attempts
from .driver import Activity, Driver, Handle, Identity, Meter
from .sample import GpuFacts, GpuSample, Metric

T = TypeVar("T")

_PROCESSES_EVERY_NS = 1_000_000_000  # to list them can mean to look at every process of the machine


class GpuReader:
    """Reads the GPU that a driver has under ``index``; ``clock`` is ``time.monotonic_ns`` or its like."""

    def __init__(self, driver: Driver, index: int, *, clock: Callable[[], int]) -> None:
        self._driver = driver
        self._index = index
        self._clock = clock
        self._attempts = Attempts(driver.trouble)
        self._gpu = Identity(id=f"{driver.vendor} {index}", name="GPU", key=None)
        self._meter: Meter | None = None
        self._since = clock()
        self._pids: list[int] | None = None
        self._pids_at: int | None = None
        try:
            self._gpu = driver.identify(index)
            self._meter = self._choose_meter(driver.handle(self._gpu))
        except Exception as error:
            self._attempts.lose(driver.trouble(error).reason)
        self._levels(self._since)  # finds out which of them there are

    @property
    def facts(self) -> GpuFacts:
        """What is known of the GPU by now."""
        metrics = self._attempts.metrics
        meter = self._meter if "sm" in metrics else None
        return GpuFacts(
            id=self._gpu.id,
            name=self._gpu.name,
            vendor=self._driver.vendor,
            index=self._index,
            metrics=metrics,
            measure=meter.measure if meter else None,
            resolution_s=meter.resolution_s if meter else None,
            notes=self._attempts.notes,
        )

    def read(self) -> list[GpuSample]:
        """What is new since the last call; the levels stand in the newest sample."""
        now = self._clock()
        activity = self._activity(now)
        if not activity or self._attempts.lost:
            return []
        samples = [
            GpuSample(t=each.t, gpu=self._gpu.id, span_ns=each.span_ns, sm=each.sm, dram=each.dram)
            for each in activity
        ]
        return [*samples[:-1], msgspec.structs.replace(samples[-1], **self._levels(now))]

    def close(self) -> None:
        """Give back what the driver lent."""
        if self._meter is not None:
            self._meter.close()

    def _choose_meter(self, handle: Handle) -> Meter | None:
        reasons: list[str] = []
        for make in self._driver.meters(handle, self._since):
            try:
                meter = make()
            except Exception as error:
                trouble = self._driver.trouble(error)
                if trouble.kind == "lost":
                    raise
                reasons.append(trouble.reason)
                continue
            if not meter.has_dram:
                self._attempts.rule_out("dram", reason=reasons[0])
            return meter
        self._attempts.rule_out("sm", "dram", reason=reasons[-1])
        return None

    def _activity(self, now: int) -> list[Activity]:
        meter = self._meter
        if meter is not None and "sm" in self._attempts.metrics:
            return self._ask("sm", lambda handle: meter.read(handle, now)) or []
        unknown = Activity(t=now, span_ns=now - self._since, sm=None)
        self._since = now
        return [unknown]

    def _levels(self, now: int) -> dict[str, Any]:
        driver = self._driver
        if self._pids_at is None or now - self._pids_at >= _PROCESSES_EVERY_NS:
            self._pids_at = now
            self._pids = self._ask("processes", driver.pids)
        return {
            "memory_used": self._ask("memory", driver.memory_used),
            "power_w": self._ask("power", driver.power_w),
            "energy_j": self._ask("energy", driver.energy_j),
            "pids": self._pids,
        }

    def _ask(self, metric: Metric, question: Callable[[Handle], T]) -> T | None:
        return self._attempts.read(metric, lambda: question(self._driver.handle(self._gpu)))
