"""The GPUs' own counters beside the events of a session, where its engines have GPUs.

Invariant: what cannot be read is a line in the record, and never in the way of the session.
"""

import contextlib
from collections.abc import AsyncIterator

from headway.profiles.gpu import GpuMonitor, open_samplers
from headway.profiles.gpu.sample import GpuFound
from headway.scheduler.events import EventSink, Noted, now_ns

from .config import ProfileConfig


class GpuCounters:
    """Opens the drivers; ``sampling`` reads them while its body runs."""

    def __init__(self, config: ProfileConfig, sink: EventSink, *, wanted: bool) -> None:
        self._sink = sink
        samplers, lines = open_samplers() if wanted and config.gpu else ([], [])
        self._noted: set[str] = set()
        self._monitor = GpuMonitor(sink, samplers=samplers, period_s=config.gpu_every_s) if samplers else None
        if not samplers:  # of a vendor that is not there nothing has to be said where the other is
            self._note(lines)

    def names(self, devices: tuple[str, ...]) -> list[str]:
        """The GPUs that an environment names by number, or by what they are called, as samples name them."""
        known = {str(facts.index): facts.id for facts in self._monitor.facts()} if self._monitor else {}
        return [known.get(device, device) for device in devices]

    @contextlib.asynccontextmanager
    async def sampling(self) -> AsyncIterator[None]:
        """Sample while the body runs, and note what could not be read."""
        if self._monitor is None:
            yield
            return
        for facts in self._monitor.facts():
            self._sink.emit(GpuFound(t=now_ns(), gpu=facts.id, name=facts.name, measure=facts.measure))
        async with self._monitor:
            self._note(self._monitor.lines())
            try:
                yield
            finally:
                self._note(self._monitor.lines())

    def _note(self, lines: list[str]) -> None:
        for line in lines:
            if line not in self._noted:
                self._noted.add(line)
                self._sink.emit(Noted(t=now_ns(), text=line))
