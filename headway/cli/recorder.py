"""Takes every event of a run: to the log, to the attribution, and to whoever watches."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from headway.profiles.attribution import Attribution
from headway.profiles.cause import Cause
from headway.profiles.event_log import EventLog, Header
from headway.profiles.live.gauges import Gauges
from headway.profiles.live.metrics_endpoint import serve_metrics
from headway.scheduler.events import Event, EventSink, now_ns

from .runtime import Flushable

Spent = dict[str, dict[Cause, int]]


class Recorder:
    """An event sink. ``lap`` says where the engines' time went since the last lap.

    Without a ``path`` there is no log; with a ``metrics_port`` Prometheus is served there. Raises
    ``HeadwayError`` where the file or the port cannot be had.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        engines: Sequence[str],
        model: str,
        policy: str,
        watchers: Sequence[EventSink] = (),
        metrics_port: int | None = None,
    ) -> None:
        start = now_ns()
        header = Header(
            t=start,
            wall_ns=time.time_ns(),
            engines=list(engines),
            model=model,
            policy=policy,
            pid=os.getpid(),
        )
        self.log = EventLog(path, header) if path is not None else None
        self._attribution = Attribution(engines, start)
        gauges = Gauges(self._attribution)
        self._endpoint = None if metrics_port is None else serve_metrics(gauges, port=metrics_port)
        self._watchers = watchers if self._endpoint is None else [gauges, *watchers]
        self._lap: tuple[Spent, int] = ({}, 0)

    def emit(self, event: Event) -> None:
        """Pass one event on."""
        if self.log is not None:
            self.log.emit(event)
        self._attribution.take(event)
        for watcher in self._watchers:
            watcher.emit(event)

    @property
    def files(self) -> list[Flushable]:
        """What has to be flushed now and then, and closed."""
        return [each for each in (self.log, self._endpoint) if each is not None]

    def close(self) -> None:
        """Close the log, if there is one."""
        for file in self.files:
            file.close()

    def total(self) -> tuple[Spent, int]:
        """Nanoseconds by engine and cause since the start, and the wall time that each engine's sum to."""
        self._attribution.advance(now_ns())
        return self._attribution.spent(), self._attribution.wall_ns

    def lap(self) -> tuple[Spent, int]:
        """The same since the last call."""
        (before, wall_before), (spent, wall) = self._lap, self.total()
        self._lap = spent, wall
        difference = {
            engine: {cause: ns - before.get(engine, {}).get(cause, 0) for cause, ns in causes.items()}
            for engine, causes in spent.items()
        }
        return {
            e: {c: ns for c, ns in causes.items() if ns} for e, causes in difference.items()
        }, wall - wall_before
