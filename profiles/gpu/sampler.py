"""Samples all GPUs of one driver.

Invariants: once opened, nothing raises; what can no longer be read is a note in the facts of its GPU, and
the other GPUs go on. Calls block, and are made from one thread at a time. Knows nothing of vendors or events.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Protocol

from .driver import Driver
from .reader import GpuReader
from .sample import GpuFacts, GpuSample


class GpuSampler(Protocol):
    """Reads GPUs; ``t`` of its samples is a time of ``time.monotonic_ns``."""

    def facts(self) -> list[GpuFacts]:
        """What is known of its GPUs by now, without asking the driver."""
        ...

    def read(self) -> list[GpuSample]:
        """What is new since the last call."""
        ...

    def close(self) -> None:
        """Let go of the driver."""
        ...


class DriverSampler:
    """The sampler of a vendor's driver; it closes the driver."""

    def __init__(self, driver: Driver, *, gpus: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._driver = driver
        self._readers = [GpuReader(driver, index, clock=clock) for index in range(gpus)]

    def facts(self) -> list[GpuFacts]:
        """What is known of each GPU by now."""
        return [reader.facts for reader in self._readers]

    def read(self) -> list[GpuSample]:
        """What is new of all GPUs, one after the other."""
        return [sample for reader in self._readers for sample in reader.read()]

    def close(self) -> None:
        """Let go of the driver, whatever state it is in."""
        for close in (*(reader.close for reader in self._readers), self._driver.close):
            with contextlib.suppress(
                Exception
            ):  # one that has failed may fail here too; nothing depends on it
                close()
