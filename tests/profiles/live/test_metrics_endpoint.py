import asyncio
import threading
import urllib.request
from collections import defaultdict

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headway.errors import HeadwayError
from headway.profiles.attribution import Attribution
from headway.profiles.live.gauges import Gauges
from headway.profiles.live.metrics_endpoint import MetricsEndpoint, serve_metrics
from headway.scheduler import events as ev

from .logs import SECOND, dispatched, held, over, ready, short_run, started

Labels = tuple[tuple[str, str], ...]


class Run:
    """A run that is recorded, and served."""

    def __init__(self) -> None:
        self._attribution = Attribution(["a", "b"], 0)
        self.gauges = Gauges(self._attribution)

    def emit(self, *events: ev.Event) -> None:
        for event in events:
            self._attribution.take(event)
            self.gauges.emit(event)


def scrape(endpoint: MetricsEndpoint) -> dict[str, dict[Labels, float]]:
    """What a Prometheus server gets."""
    with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
    return dict(found)


@pytest.fixture
def run():
    return Run()


@pytest.fixture
def endpoint(run: Run):
    endpoint = serve_metrics(run.gauges, port=0)
    yield endpoint
    endpoint.close()


def test_a_scrape_has_the_figures_that_were_published_last(run: Run, endpoint: MetricsEndpoint) -> None:
    run.emit(*short_run(), started(10, "y"), ready(10, "y"), held(10, "kv_full", "y"))
    assert scrape(endpoint)["headway_events_total"] == {(): 0}
    run.gauges.publish(12 * SECOND)
    metrics = scrape(endpoint)

    seconds = metrics["headway_engine_seconds_total"]
    for engine in ("a", "b"):
        causes = {labels: value for labels, value in seconds.items() if ("engine", engine) in labels}
        assert sum(causes.values()) == pytest.approx(12, abs=1e-9)
    assert metrics["headway_wall_seconds"] == {(): 12}
    assert seconds[("cause", "busy"), ("engine", "a")] == 5
    assert seconds[("cause", "kv_full"), ("engine", "a")] == 3
    assert seconds[("cause", "stalled"), ("engine", "a")] == 0
    assert metrics["headway_turns_total"] == {(("engine", "a"),): 2, (("engine", "b"),): 0}
    assert metrics["headway_generated_tokens_total"][("engine", "a"),] == 200
    assert metrics["headway_preemptions_total"][("engine", "a"),] == 2
    assert metrics["headway_trajectories"][("state", "ready"),] == 1
    assert metrics["headway_trajectories_ended_total"][("status", "finished"),] == 1
    assert metrics["headway_ready_turns"][("reason", "kv_full"),] == 1
    assert metrics["headway_ready_turns"][("reason", "cap"),] == 0


def test_an_engine_shows_its_turns_its_cache_and_its_weights(run: Run, endpoint: MetricsEndpoint) -> None:
    run.emit(
        ready(0),
        dispatched(0),
        ev.EngineLoad(t=1, engine="a", running=1, waiting=0, kv_usage=0.25),
        ev.EngineChanged(t=1, engine="a", state="ready", weight_version=4),
        ev.PhaseChanged(t=2, phase="rollout", step=7),
    )
    run.gauges.publish(3)
    metrics = scrape(endpoint)
    assert metrics["headway_engine_running"] == {(("engine", "a"),): 1, (("engine", "b"),): 0}
    assert metrics["headway_engine_kv_usage_ratio"][("engine", "a"),] == 0.25
    assert metrics["headway_engine_weight_version"] == {(("engine", "a"),): 4}
    assert metrics["headway_step"] == {(): 7}
    assert [labels for labels, value in metrics["headway_phase"].items() if value] == [
        (("phase", "rollout"),)
    ]


def test_the_number_of_series_does_not_grow_with_trajectories(run: Run, endpoint: MetricsEndpoint) -> None:
    def series() -> int:
        run.gauges.publish(SECOND)
        return sum(len(samples) for samples in scrape(endpoint).values())

    run.emit(started(0), ready(0), held(0, "kv_full"), dispatched(0))
    few = series()
    for number in range(300):
        id = f"g{number}"
        run.emit(started(0, id), ready(0, id), held(0, "kv_full", id))
        run.emit(*([over(0, id)] if number % 2 else []))
    assert series() == few


def test_scrapes_while_events_come_are_whole(run: Run, endpoint: MetricsEndpoint) -> None:
    """Every scrape sums to the wall of one published moment, though the run goes on in another thread."""
    walls: list[tuple[float, float]] = []

    def scrape_often() -> None:
        for _ in range(20):
            metrics = scrape(endpoint)
            of_a = sum(v for k, v in metrics["headway_engine_seconds_total"].items() if ("engine", "a") in k)
            walls.append((of_a, metrics["headway_wall_seconds"][()]))

    scraping = threading.Thread(target=scrape_often)
    scraping.start()
    second = 0
    while scraping.is_alive():
        id = f"g{second}"
        run.emit(started(second, id), ready(second, id), dispatched(second, "a", id))
        second += 1
        run.emit(over(second, id))
        run.gauges.publish(second * SECOND)
    scraping.join()
    assert len({wall for _, wall in walls}) > 1
    assert all(of_a == pytest.approx(wall, abs=1e-6) for of_a, wall in walls)


def test_its_owner_flushes_it_on_the_event_loop_and_closes_it() -> None:
    async def own() -> float:
        start = asyncio.get_running_loop().time()
        endpoint = serve_metrics(Gauges(Attribution(["a"], round(start * SECOND))), port=0)
        await asyncio.sleep(0.01)
        endpoint.flush()
        wall = scrape(endpoint)["headway_wall_seconds"][()]
        endpoint.close()
        endpoint.close()
        with pytest.raises(OSError, match="refused"):
            scrape(endpoint)
        return wall

    assert asyncio.run(own()) >= 0.01


def test_a_port_that_is_taken_is_said(endpoint: MetricsEndpoint, run: Run) -> None:
    with pytest.raises(
        HeadwayError, match=f"metrics_port {endpoint.port}: cannot serve on 127.0.0.1: Address"
    ):
        serve_metrics(run.gauges, port=endpoint.port)
