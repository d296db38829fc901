"""What a GPU's own counters said at a moment, and what of a GPU can be measured at all.

Invariant: the samples of one GPU come in the order of ``t``, and their spans do not overlap. Knows nothing
of drivers.
"""

from typing import Literal

import msgspec

from headway.scheduler.events import Event

Metric = Literal["sm", "dram", "memory", "power", "energy", "processes"]
Measure = Literal["gpm", "driver samples", "utilization", "accumulator"]


class GpuSample(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Figures of one GPU, averaged over the ``span_ns`` that end at ``t``; None where it does not tell.

    ``sm``: the share (0..1) of time and of SMs with work, as ``GpuFacts.measure`` says; ``dram``: of the
    memory bandwidth; ``memory_used`` in bytes; ``energy_j`` counts from a start of the driver's own;
    ``pids``: the processes that compute on it, as of a second ago at most and as the driver numbers them.
    """

    gpu: str
    span_ns: int
    sm: float | None = None
    dram: float | None = None
    memory_used: int | None = None
    power_w: float | None = None
    energy_j: float | None = None
    pids: list[int] | None = None


class GpuFound(Event, frozen=True, kw_only=True):
    """A GPU whose counters are sampled from now on; ``measure`` is that of ``GpuFacts``."""

    gpu: str
    name: str
    measure: Measure | None = None


class GpuFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU: ``id`` is its UUID, or else its PCI address, and ``index`` the driver's number for it.

    ``metrics`` are those that can be read, and ``notes`` has a line for each thing that cannot. ``measure``
    is how ``sm`` is found, and ``resolution_s`` the shortest time that it tells apart:

    - ``gpm``: the share of SMs that are busy, by hardware counters;
    - ``accumulator``: the share of time in which the compute pipes are busy, by the firmware's counter;
    - ``driver samples``, ``utilization``: the share of time in which any kernel runs, however small it is, by
      the driver's history or by its latest figure.
    """

    id: str
    name: str
    vendor: str
    index: int
    metrics: list[Metric]
    measure: Measure | None = None
    resolution_s: float | None = None
    notes: list[str] = []
