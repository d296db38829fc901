"""The figures of a watch: what each engine did, and how reading each page went. Times are integer ns."""

import msgspec

from .engine_counts import Latency


class EngineFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One engine. ``states``: ns by state, which sum to the wall. Shares are 0..1, rates by second from its
    first to its last reading, None where unknown.

    ``mean_running`` is that of the time in which anything ran; ``apart_ns`` is the longest that two readings
    were apart; in ``unnoticed_ns`` the engine worked, and no reading found it at work.
    """

    id: str
    model: str
    states: dict[str, int]
    mean_running: float
    most_running: int
    most_kv_usage: float
    generated: int
    generated_per_s: float
    prompt_per_s: float
    hit_rate: float | None
    preemptions: int
    finished: int
    tokens_per_step: float | None
    latencies: dict[str, Latency]
    restarts: int
    apart_ns: int
    unnoticed_ns: int


class PageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How reading one page went: ``failure`` is the latest, None where every attempt worked."""

    url: str
    readings: int
    failed: int
    failure: str | None
