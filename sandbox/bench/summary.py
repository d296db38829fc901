"""Rows put side by side: rates and their ratios, latencies, bursts, and what isolation costs.

Invariants: ratios and differences are made within a round, then summed up over rounds; latencies are of open
loops only. Knows nothing of how it is shown.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from .plan import BARE_FORK, BASELINE, EXECUTORS, OURS
from .row import Measured, Row, percentiles

_LEAST_CPU_MS = 1e-3  # a loop may be shorter than a tick of the kernel's accounts
_PERCENTS = (*range(1, 100), 99.5, 99.9, 100)


class Spread(msgspec.Struct, frozen=True):
    """A figure over rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """An executor in the closed loops of a snippet.

    ``ratio`` is its rate over the plain subprocess's, ``cpu_ratio`` the subprocess's processor time of a call
    over its own: the second says what the first would be were the machine not busy with anything else.
    """

    snippet: str
    executor: str
    calls_per_s: Spread
    cpu_ms_per_call: Spread
    cores_used: Spread
    ratio: Spread | None
    cpu_ratio: Spread | None
    calls: int
    lost: int


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """An executor in the open loops of a snippet, all rounds together.

    ``rate`` (arrivals per second) and ``load`` (over the closed rate) are means over rounds. ``curve`` has
    the latency in milliseconds that 1 to 99, 99.5, 99.9 and 100 percent of the calls do not exceed; of
    those below 100 only such that one call at least is above them.
    """

    snippet: str
    executor: str
    rate: float
    load: float
    calls: int
    lost: int
    mean_ms: float
    curve: list[tuple[float, float]]

    def at(self, percent: float) -> float | None:
        """The latency that so many percent of the calls do not exceed; None where the calls are too few."""
        return dict(self.curve).get(percent)


class Burst(msgspec.Struct, frozen=True, kw_only=True):
    """Bursts of one size. Memory is that of the process that makes and serves the calls."""

    snippet: str
    outstanding: int
    calls_per_s: Spread
    lost: int
    overtaken_by: int
    memory_peak_bytes: int
    memory_bytes_per_call: float


class Isolation(msgspec.Struct, frozen=True, kw_only=True):
    """Processor time of a call, and how much less it is in the same zygotes without isolation."""

    snippet: str
    bare_cpu_ms: Spread
    extra_cpu_ms: Spread


def rates(rows: Sequence[Row]) -> list[Rate]:
    """Sum up closed loops."""
    found: list[Rate] = []
    for (snippet, executor), same in _groups(rows):
        if executor == BARE_FORK:
            continue
        pairs = _pairs(same, [row for row in rows if (row.snippet, row.executor) == (snippet, BASELINE)])
        if executor == BASELINE:
            pairs = []
        found.append(
            Rate(
                snippet=snippet,
                executor=executor,
                calls_per_s=Spread.of([row.calls_per_s for row in same]),
                cpu_ms_per_call=Spread.of([row.cpu_ms_per_call for row in same]),
                cores_used=Spread.of([row.cores_used for row in same]),
                ratio=Spread.of([row.calls_per_s / base.calls_per_s for row, base in pairs])
                if pairs
                else None,
                cpu_ratio=Spread.of([_cpu_ratio(base, row) for row, base in pairs]) if pairs else None,
                calls=sum(row.calls for row in same),
                lost=sum(row.lost for row in same),
            )
        )
    return found


def latencies(taken: Sequence[Measured]) -> list[Latency]:
    """Sum up open loops."""
    found: list[Latency] = []
    for (snippet, executor), same in _groups([one.row for one in taken]):
        pooled = [s for one in taken if one.row in same for s in one.latencies_s]
        percents = [p for p in _PERCENTS if p == 100 or len(pooled) * (100 - p) >= 100]
        curve = [1000 * value for value in percentiles(pooled, percents)]
        found.append(
            Latency(
                snippet=snippet,
                executor=executor,
                rate=statistics.mean(row.rate or 0.0 for row in same),
                load=statistics.mean(row.load or 0.0 for row in same),
                calls=len(pooled),
                lost=sum(row.lost for row in same),
                mean_ms=1000 * statistics.mean(pooled),
                curve=list(zip(percents, curve, strict=True)),
            )
        )
    return found


def bursts(rows: Sequence[Row]) -> list[Burst]:
    """Sum up bursts."""
    sizes: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        sizes[row.snippet, row.outstanding].append(row)
    return [
        Burst(
            snippet=snippet,
            outstanding=size,
            calls_per_s=Spread.of([row.calls_per_s for row in same]),
            lost=sum(row.lost for row in same),
            overtaken_by=max(row.overtaken_by for row in same),
            memory_peak_bytes=max(row.memory_peak_bytes for row in same),
            memory_bytes_per_call=max(row.memory_peak_bytes - row.memory_before_bytes for row in same) / size,
        )
        for (snippet, size), same in sizes.items()
    ]


def isolation(rows: Sequence[Row]) -> list[Isolation]:
    """Compare the closed loops of this sandbox with those of its reference, by snippet."""
    found: list[Isolation] = []
    for (snippet, executor), bare in _groups(rows):
        pairs = _pairs([row for row in rows if (row.snippet, row.executor) == (snippet, OURS)], bare)
        if executor == BARE_FORK and pairs:
            extra = [row.cpu_ms_per_call - base.cpu_ms_per_call for row, base in pairs]
            found.append(
                Isolation(
                    snippet=snippet,
                    bare_cpu_ms=Spread.of([base.cpu_ms_per_call for _, base in pairs]),
                    extra_cpu_ms=Spread.of(extra),
                )
            )
    return found


def _cpu_ratio(base: Row, row: Row) -> float:
    return base.cpu_ms_per_call / max(row.cpu_ms_per_call, _LEAST_CPU_MS)


def _pairs(rows: Sequence[Row], bases: Sequence[Row]) -> list[tuple[Row, Row]]:
    by_round = {base.round: base for base in bases}
    return [(row, by_round[row.round]) for row in rows if row.round in by_round]


def _groups(rows: Sequence[Row]) -> list[tuple[tuple[str, str], list[Row]]]:
    """Rows by snippet, as they first come, and executor, in the order of tables."""
    groups: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.snippet, row.executor].append(row)
    snippets = list(dict.fromkeys(row.snippet for row in rows))
    order = (*EXECUTORS, BARE_FORK)
    return sorted(groups.items(), key=lambda group: (snippets.index(group[0][0]), order.index(group[0][1])))
