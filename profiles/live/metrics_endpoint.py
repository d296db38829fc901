"""Serves a run's figures to Prometheus over HTTP, from a thread of its own.

Invariants: a scrape reads the latest snapshot and never the run itself; the number of series grows with the
number of engines alone, for labels are engines, causes and states, never trajectories. Metrics of other
libraries in the process are not served. Knows nothing of how the figures are made.
"""

from collections.abc import Iterator
from threading import Thread
from typing import Protocol, get_args
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headway.errors import HeadwayError
from headway.scheduler.events import Phase, now_ns

from ..cause import Cause
from .snapshot import EngineSnapshot, Snapshot

# Series that come and go are hard to graph, so those that a run has now and then are always there.
_REASONS = ("kv_full", "cap", "affinity_hold", "barrier", "tick", "dispatch_lag")


class Source(Protocol):
    """Whose figures are served."""

    @property
    def snapshot(self) -> Snapshot:
        """The latest figures."""
        ...

    def publish(self, now: int) -> None:
        """Make the figures of ``now`` the latest."""
        ...


class MetricsEndpoint:
    """A server that runs. Its owner calls ``flush`` on the event loop, about once a second, and ``close``."""

    def __init__(self, source: Source, server: WSGIServer, thread: Thread) -> None:
        self._source = source
        self._server = server
        self._thread = thread

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    def flush(self) -> None:
        """Let the next scrapes have the figures of now."""
        self._source.publish(now_ns())

    def close(self) -> None:
        """Serve no more; safe to call twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(source: Source, *, host: str = "127.0.0.1", port: int) -> MetricsEndpoint:
    """Serve on a port, 0 for any that is free; raises ``HeadwayError`` where it cannot be had."""
    registry = CollectorRegistry()
    registry.register(_RunCollector(source))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise HeadwayError(
            f"metrics_port {port}: cannot serve on {host}: {error.strerror}; give another port"
        ) from error
    return MetricsEndpoint(source, server, thread)


class _RunCollector(Collector):
    """Tells the registry what there is, anew at every scrape."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def describe(self) -> Iterator[Metric]:
        """Nothing: names are unique, and the figures need not be read to know that."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        snapshot = self._source.snapshot
        yield _seconds(snapshot)
        yield from _engines(snapshot.engines)
        yield from _trajectories(snapshot)
        yield from _job(snapshot)


def _seconds(snapshot: Snapshot) -> Metric:
    seconds = CounterMetricFamily(
        "headway_engine_seconds",
        "Where each engine's time went; its causes sum to headway_wall_seconds.",
        labels=["engine", "cause"],
    )
    for engine, causes in snapshot.spent.items():
        for cause in Cause:
            seconds.add_metric([engine, cause], causes.get(cause, 0) / 1e9)
    return seconds


def _engines(engines: list[EngineSnapshot]) -> Iterator[Metric]:
    label = ["engine"]
    turns = CounterMetricFamily("headway_turns", "Turns that have ended.", labels=label)
    generated = CounterMetricFamily(
        "headway_generated_tokens", "Tokens of the turns that have ended.", labels=label
    )
    preemptions = CounterMetricFamily("headway_preemptions", "Preemptions of those turns.", labels=label)
    running = GaugeMetricFamily("headway_engine_running", "Turns that are on the engine.", labels=label)
    queued = GaugeMetricFamily("headway_engine_queued", "Those that wait in its own queue.", labels=label)
    kv_usage = GaugeMetricFamily(
        "headway_engine_kv_usage_ratio", "KV cache that running turns hold, 0 to 1.", labels=label
    )
    version = GaugeMetricFamily("headway_engine_weight_version", "The weights it has.", labels=label)
    for engine in engines:
        turns.add_metric([engine.id], engine.turns)
        generated.add_metric([engine.id], engine.generated)
        preemptions.add_metric([engine.id], engine.preemptions)
        running.add_metric([engine.id], engine.running)
        queued.add_metric([engine.id], engine.queued)
        kv_usage.add_metric([engine.id], engine.kv_usage)
        if engine.weight_version is not None:
            version.add_metric([engine.id], engine.weight_version)
    yield from (turns, generated, preemptions, running, queued, kv_usage, version)


def _trajectories(snapshot: Snapshot) -> Iterator[Metric]:
    live = GaugeMetricFamily(
        "headway_trajectories", "Live trajectories by what they are doing.", labels=["state"]
    )
    ready = sum(snapshot.ready.values())
    for state, number in (
        ("generating", snapshot.generating),
        ("ready", ready),
        ("tool", snapshot.tools),
        ("agent", snapshot.agents),
    ):
        live.add_metric([state], number)
    ended = CounterMetricFamily("headway_trajectories_ended", "Those that are over.", labels=["status"])
    ended.add_metric(["finished"], snapshot.finished)
    ended.add_metric(["failed"], snapshot.failed)
    waiting = GaugeMetricFamily("headway_ready_turns", "Ready turns by what holds them.", labels=["reason"])
    for reason, number in (dict.fromkeys(_REASONS, 0) | snapshot.ready).items():
        waiting.add_metric([reason], number)
    yield from (live, ended, waiting)


def _job(snapshot: Snapshot) -> Iterator[Metric]:
    yield GaugeMetricFamily("headway_wall_seconds", "The time that is accounted for.", snapshot.wall_ns / 1e9)
    yield CounterMetricFamily("headway_events", "Events of the run so far.", snapshot.events)
    yield GaugeMetricFamily("headway_step", "The step of training.", snapshot.step)
    phase = GaugeMetricFamily(
        "headway_phase", "1 for the phase that the job is in, 0 for others.", labels=["phase"]
    )
    for name in get_args(Phase):
        phase.add_metric([name], name == snapshot.phase)
    yield phase
