"""The seam between readers and a vendor's binding: what a driver is asked, and what its errors mean.

Knows nothing of any vendor.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

import msgspec

from headway.errors import HeadwayError

from .sample import Measure

Handle = Any  # the binding's own name for a GPU


class DriverAbsent(HeadwayError):
    """There is no driver of this vendor, or it knows no GPU."""


class DriverFault(HeadwayError):
    """There is a driver, and it cannot be used."""


class NotMeasured(Exception):
    """A GPU does not have what was asked for; the message says what it lacks."""


class Trouble(msgspec.Struct, frozen=True):
    """An error of a binding: one thing is ``absent`` for good, the GPU is ``lost``, or it is ``passing``."""

    kind: Literal["absent", "lost", "passing"]
    reason: str


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU that was found; ``key`` is what the driver finds its handle by."""

    id: str
    name: str
    key: Any


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """What a GPU did, on average, in the ``span_ns`` up to ``t``, a time of ``time.monotonic_ns``."""

    t: int
    span_ns: int
    sm: float | None
    dram: float | None = None


class Meter(Protocol):
    """One way to measure a GPU's activity. Making one raises where the GPU does not offer that way."""

    measure: Measure
    has_dram: bool
    resolution_s: float

    def read(self, handle: Handle, now: int) -> list[Activity]:
        """What is new since the last call, in order; raises the binding's errors."""
        ...

    def close(self) -> None:
        """Give back what the driver lent."""
        ...


class Driver(Protocol):
    """A vendor's binding; all but ``trouble`` raise its own errors."""

    vendor: str

    def count(self) -> int:
        """How many GPUs it knows."""
        ...

    def identify(self, index: int) -> Identity:
        """Say which GPU has this number."""
        ...

    def handle(self, gpu: Identity) -> Handle:
        """A handle that is good for now."""
        ...

    def meters(self, handle: Handle, now: int) -> Iterator[Callable[[], Meter]]:
        """The ways to measure its activity, best first."""
        ...

    def memory_used(self, handle: Handle) -> int:
        """Bytes in use."""
        ...

    def power_w(self, handle: Handle) -> float:
        """Watts."""
        ...

    def energy_j(self, handle: Handle) -> float:
        """Joules since some start."""
        ...

    def pids(self, handle: Handle) -> list[int]:
        """The processes that compute on it."""
        ...

    def trouble(self, error: Exception) -> Trouble:
        """What an error means."""
        ...

    def close(self) -> None:
        """Let go of the driver."""
        ...


def share(percent: float) -> float:
    """A percentage as a share that is no longer than its precision."""
    return round(min(max(percent / 100, 0.0), 1.0), 4)
