"""A profile: where the time of every engine and of every trajectory of a run went, and what to do about it.

Only figures and words; ``profiler`` makes one from events, and the reports show it. Times are integer
nanoseconds; for every engine the causes sum to ``wall_ns`` exactly.
"""

import msgspec

from .verdict import idle_sentence

Causes = dict[str, int]


class EngineProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One engine. ``causes``: ns by cause, ``busy`` and ``busy_recompute`` among them, which sum to the wall.

    ``otherwise``: of each idle cause, ns by what they would have been called if it were none (the next rule
    that applies). ``under_fill``: busy ns by what kept the batch from being larger, weighted by the share of
    the trajectories at hand that it kept away; not part of the wall. ``sm_idle_ns``: busy time in which the
    GPU's SMs were idle, of the ``sm_seen_ns`` of busy time that samples cover; None without samples.
    """

    id: str
    causes: Causes
    otherwise: dict[str, Causes]
    under_fill: Causes
    turns: int
    generated: int
    prompt: int
    cached: int
    recomputed: int
    preemptions: int
    seconds_per_token: float | None
    kv_tokens: int | None = None
    max_running: int = 0
    mean_running: float = 0.0
    sm_idle_ns: int | None = None
    sm_seen_ns: int | None = None


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """One trajectory: where its time went, ns by ``generating``, ``engine_queue``, a cause that held its
    turns back, ``tool:NAME`` or ``agent``; they sum to ``end_ns - start_ns`` (ns since the log's start)."""

    id: str
    group: str
    start_ns: int
    end_ns: int
    spent: Causes
    turns: int
    generated: int
    engines: list[str]
    status: str


class GpuProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU whose counters were sampled: how its activity is measured, how finely (the median distance of
    samples), and which share of the wall the samples cover."""

    id: str
    name: str
    measure: str
    resolution_s: float | None
    coverage: float
    sm_mean: float | None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that cost time: its ``cause``, the engine time that it cost, what was seen, and the lever.

    Of ``lost_ns``, ``estimated_ns`` is no time that was measured as such: what batches that were kept small
    would have gained, or a slow engine at the others' pace.
    """

    cause: str
    lost_ns: int
    estimated_ns: int
    seen: str
    lever: str


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``phases``: ns of all engines by phase of the job and cause.

    ``stages``: the same by ramp, steady, drain and outside. While trajectories are live it is ramp until each
    engine that takes part has had a turn, and drain once one of them has had its last. ``spent``:
    ns of all trajectories that have ended, as in ``Life``. ``held``: wall ns in which ready turns waited, by
    the reason of the first of them.
    """

    source: str
    model: str
    policy: str
    wall_ns: int
    complete: bool
    engines: list[EngineProfile]
    phases: dict[str, Causes]
    stages: dict[str, Causes]
    trajectories: int
    finished: int
    failed: int
    turns: int
    generated: int
    spent: Causes
    held: Causes
    findings: list[Finding]
    slowest: list[Life]
    gpus: list[GpuProfile] = []
    contradictions: list[str] = []
    notes: list[str] = []

    @property
    def verdict(self) -> str:
        """The run in one sentence."""
        sentence = idle_sentence(engine.causes for engine in self.engines)
        if self.findings:
            sentence += f"; what cost most: {self.findings[0].cause.replace('_', ' ')}"
        return sentence
