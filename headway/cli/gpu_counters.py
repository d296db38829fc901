"""The GPUs' own counters beside the events of a session, where its engines have GPUs.

Invariant: what cannot be read is a line in the record, and never in the way of the session.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from headway.profiles.gpu import GpuMonitor, open_samplers
from headway.profiles.gpu.driver_thread import DriverThread
from headway.profiles.gpu.lines import line
from headway.profiles.gpu.sample import GpuFound
from headway.scheduler.events import EventSink, Noted, now_ns

from .config import ProfileConfig

_OPEN_S = 30.0


class GpuCounters:
    """Opens the drivers; ``sampling`` reads them while its body runs."""

    def __init__(self, sink: EventSink, monitor: GpuMonitor | None, lines: list[str]) -> None:
        self._sink = sink
        self._noted: set[str] = set()
        self._monitor = monitor
        self._note(lines)

    @classmethod
    async def open(cls, config: ProfileConfig, sink: EventSink, *, wanted: bool) -> "GpuCounters":
        """Open the drivers, unless they take too long, in a thread that nobody has to wait for."""
        if not wanted or not config.gpu:
            return cls(sink, None, [])
        thread = DriverThread()
        try:
            opening = asyncio.get_running_loop().run_in_executor(thread, open_samplers)
            samplers, lines = await asyncio.wait_for(opening, _OPEN_S)
        except TimeoutError:
            return cls(sink, None, [line(f"no driver has answered within {_OPEN_S:g} s")])
        finally:
            thread.shutdown(wait=False)
        monitor = GpuMonitor(sink, samplers=samplers, period_s=config.gpu_every_s) if samplers else None
        return cls(sink, monitor, lines)

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
        for text in lines:
            if text not in self._noted:
                self._noted.add(text)
                self._sink.emit(Noted(t=now_ns(), text=text))
