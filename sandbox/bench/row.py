"""One row of the benchmark's result: how one executor did in one round of one snippet.

A burst's or closed loop's latencies are the queue's and say nothing beyond the rate; they are in the row for
completeness and are never shown.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
import numpy as np

from .sample import Sample, overtaken


class Mode(StrEnum):
    """How calls were made."""

    CLOSED = "closed"  # so many outstanding for some seconds, with every executor: what ratios are made of
    BURST = "burst"  # so many submitted at once, to the last answer
    OPEN = "open"  # at Poisson arrivals


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one measurement. The first eleven keys are the ones that others may rely on.

    ``lost`` calls were not answered, or with a fault of the executor or with another output than their own.
    ``cpu_ms_per_call`` is all that this process and everything below it spent. ``overtaken`` is how many
    calls had to begin after one that was submitted later had ended; ``overtaken_by`` is the most such later
    calls of any. ``rate`` is the arrivals per second of an open loop, ``load`` that over the executor's own
    closed rate of the same round. Of memory: this process's resident size before, and its peak during.
    """

    executor: str
    snippet: str
    outstanding: int
    calls: int
    lost: int
    calls_per_s: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms_per_call: float
    mode: Mode
    round: int
    rate: float | None
    load: float | None
    elapsed_s: float
    cores_used: float
    overtaken: int
    overtaken_by: int
    memory_before_bytes: int
    memory_peak_bytes: int


class Sight(msgspec.Struct, frozen=True):
    """What was measured and how; without ``outstanding`` it is the most that were."""

    executor: str
    snippet: str
    mode: Mode
    round: int
    outstanding: int | None = None
    rate: float | None = None
    load: float | None = None


class Cost(msgspec.Struct, frozen=True):
    """What a measurement cost this process and those below it."""

    elapsed_s: float
    cpu_s: float
    memory_before_bytes: int
    memory_peak_bytes: int


class Measured(msgspec.Struct, frozen=True):
    """A row, and the latencies that it sums up."""

    row: Row
    latencies_s: list[float]


def measured(samples: Sequence[Sample], cost: Cost, sight: Sight) -> Measured:
    """Sum up at least one sample."""
    latencies = [sample.latency_s for sample in samples]
    p50, p95, p99 = percentiles(latencies, (50, 95, 99))
    counts = overtaken(samples)
    row = Row(
        executor=sight.executor,
        snippet=sight.snippet,
        outstanding=sight.outstanding or most_outstanding(samples),
        calls=len(samples),
        lost=sum(not sample.right for sample in samples),
        calls_per_s=len(samples) / cost.elapsed_s,
        mean_ms=1000 * sum(latencies) / len(latencies),
        p50_ms=1000 * p50,
        p95_ms=1000 * p95,
        p99_ms=1000 * p99,
        cpu_ms_per_call=1000 * cost.cpu_s / len(samples),
        mode=sight.mode,
        round=sight.round,
        rate=sight.rate,
        load=sight.load,
        elapsed_s=cost.elapsed_s,
        cores_used=cost.cpu_s / cost.elapsed_s,
        overtaken=sum(count > 0 for count in counts),
        overtaken_by=max(counts),
        memory_before_bytes=cost.memory_before_bytes,
        memory_peak_bytes=cost.memory_peak_bytes,
    )
    return Measured(row, latencies)


def percentiles(values: Sequence[float], percents: Sequence[float]) -> list[float]:
    """For each percent the smallest value that at least so many percent of all do not exceed."""
    return [float(value) for value in np.percentile(values, percents, method="inverted_cdf")]


def most_outstanding(samples: Sequence[Sample]) -> int:
    """The most calls that were due and not yet answered at any one time."""
    changes = sorted([(s.due, 1) for s in samples] + [(s.ended, -1) for s in samples])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most
