"""What engines say of themselves at a moment, read from the text of vLLM's /metrics.

Names that older versions of vLLM used are read where the present ones are missing. One page may speak of
several engines (data parallel), told apart by their ``engine`` label. Knows nothing of HTTP or of time.
"""

from collections import defaultdict
from collections.abc import Iterator

import msgspec
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from headway.errors import HeadwayError

_RUNNING = ("vllm:num_requests_running",)
_WAITING = ("vllm:num_requests_waiting",)
_KV_USAGE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
_SLEEP_STATE = "vllm:engine_sleep_state"
_BORN = "process_start_time_seconds"
_COUNTERS = {
    "generated": ("vllm:generation_tokens_total",),
    "prompt": ("vllm:prompt_tokens_total",),
    "queried": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
    "hit": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    "preemptions": ("vllm:num_preemptions_total",),
    "finished": ("vllm:request_success_total",),
    "steps": ("vllm:iteration_tokens_total_count",),
    "step_tokens": ("vllm:iteration_tokens_total_sum",),
}
_LATENCIES = {
    "queue": ("vllm:request_queue_time_seconds",),
    "prefill": ("vllm:request_prefill_time_seconds",),
    "decode": ("vllm:request_decode_time_seconds",),
    "first_token": ("vllm:time_to_first_token_seconds",),
    "inter_token": ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
}
_WANTED = (
    *(_SLEEP_STATE, _BORN, *_RUNNING, *_WAITING, *_KV_USAGE),
    *(name for names in (*_COUNTERS.values(), *_LATENCIES.values()) for name in names),
)


class Histogram(msgspec.Struct, frozen=True):
    """How many, their sum, and how many of them are at most as large as each bound."""

    count: float = 0.0
    sum: float = 0.0
    at_most: dict[float, float] = {}

    def since(self, before: "Histogram") -> "Histogram":
        """What was added after ``before``."""
        return Histogram(
            self.count - before.count,
            self.sum - before.sum,
            {bound: count - before.at_most.get(bound, 0.0) for bound, count in self.at_most.items()},
        )

    def plus(self, other: "Histogram") -> "Histogram":
        """Both together."""
        bounds = {**self.at_most, **other.at_most}
        return Histogram(
            self.count + other.count,
            self.sum + other.sum,
            {bound: self.at_most.get(bound, 0.0) + other.at_most.get(bound, 0.0) for bound in bounds},
        )


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One engine at one moment. ``kv_usage`` (0..1) is that of its running requests; ``born`` is when its
    process began, where it says so. ``counters`` and ``latencies`` have those that the page has."""

    engine: str
    model: str
    running: int
    waiting: int
    kv_usage: float
    awake: bool = True
    born: float | None = None
    counters: dict[str, float]
    latencies: dict[str, Histogram]

    def follows(self, before: "Reading") -> bool:
        """Whether it is of the same process: that began when it did, and no counter went back."""
        went_back = any(value < before.counters.get(name, 0.0) for name, value in self.counters.items())
        return self.born == before.born and not went_back


def read_exposition(text: str) -> list[Reading]:
    """Read a page; raises ``HeadwayError`` for one that is not vLLM's."""
    engines: defaultdict[str, _EngineSamples] = defaultdict(_EngineSamples)
    born: float | None = None
    try:
        for sample in _samples(text):
            if sample.name == _BORN:
                born = sample.value
            else:
                engines[sample.labels.get("engine", "0")].take(sample)
    except ValueError as error:
        raise HeadwayError(f"what came is not the text of a metrics page: {error}") from error
    readings = [samples.reading(id, born) for id, samples in engines.items() if samples.tell_of_requests]
    if not readings:
        raise HeadwayError(
            f"the page has no {_RUNNING[0]}; give the /metrics of a vLLM without --disable-log-stats"
        )
    return readings


def _samples(text: str) -> Iterator[Sample]:
    # Parsing takes 17 ms for a page of one engine, most of it for lines that nothing is made of here.
    wanted = [line for line in text.split("\n") if line.startswith(_WANTED)]
    for family in text_string_to_metric_families("\n".join(wanted)):
        yield from family.samples


class _EngineSamples:
    """One engine's part of a page: values by name, summed over labels that make no difference here."""

    def __init__(self) -> None:
        self._model = ""
        self._awake = True
        self._values: defaultdict[str, float] = defaultdict(float)
        self._buckets: defaultdict[str, defaultdict[float, float]] = defaultdict(lambda: defaultdict(float))

    def take(self, sample: Sample) -> None:
        self._model = sample.labels.get("model_name", self._model)
        if sample.name == _SLEEP_STATE:
            if sample.labels.get("sleep_state") == "awake":
                self._awake = sample.value > 0
        elif "le" in sample.labels:
            self._buckets[sample.name][float(sample.labels["le"])] += sample.value
        else:
            self._values[sample.name] += sample.value

    @property
    def tell_of_requests(self) -> bool:
        return self._first(_RUNNING) is not None

    def reading(self, engine: str, born: float | None) -> Reading:
        counters = {name: self._first(metrics) for name, metrics in _COUNTERS.items()}
        latencies = {name: self._histogram(metrics) for name, metrics in _LATENCIES.items()}
        return Reading(
            engine=engine,
            model=self._model,
            running=round(self._first(_RUNNING) or 0),
            waiting=round(self._first(_WAITING) or 0),
            kv_usage=self._first(_KV_USAGE) or 0.0,
            awake=self._awake,
            born=born,
            counters={name: value for name, value in counters.items() if value is not None},
            latencies={name: value for name, value in latencies.items() if value is not None},
        )

    def _first(self, metrics: tuple[str, ...]) -> float | None:
        return next((self._values[metric] for metric in metrics if metric in self._values), None)

    def _histogram(self, metrics: tuple[str, ...]) -> Histogram | None:
        for metric in metrics:
            if f"{metric}_count" in self._values:
                count, total = self._values[f"{metric}_count"], self._values[f"{metric}_sum"]
                return Histogram(count, total, dict(self._buckets[f"{metric}_bucket"]))
        return None
