"""A run at a moment, in figures that no later event changes: what is shown, and what Prometheus is told."""

import msgspec

from ..attribution import Attribution
from ..cause import Cause
from .counts import Counts

Spent = dict[str, dict[Cause, int]]  # ns by engine and cause


class EngineSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One engine: the turns on it, those of them that are in its own queue, and its counts so far.

    ``written`` counts tokens as they come, ``generated`` those of turns that have ended.
    """

    id: str
    state: str
    running: int
    queued: int
    kv_usage: float
    turns: int
    generated: int
    written: int
    preemptions: int
    weight_version: int | None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """``spent`` has each engine's ns by cause, which sum to ``wall_ns``.

    Live trajectories are ``generating``, ``ready`` (by the reason why they wait), in ``tools``, or in their
    agents.
    """

    wall_ns: int
    spent: Spent
    engines: list[EngineSnapshot]
    phase: str
    step: int
    generating: int
    ready: dict[str, int]
    tools: int
    agents: int
    finished: int
    failed: int
    events: int

    @property
    def live(self) -> int:
        """Trajectories that have begun and not ended."""
        return self.generating + sum(self.ready.values()) + self.tools + self.agents


def take_snapshot(attribution: Attribution, counts: Counts) -> Snapshot:
    """The present state of both, as far as ``attribution`` has been advanced."""
    activity = attribution.activity
    reason = activity.held or Cause.DISPATCH_LAG
    ready = {str(reason): len(activity.waiting)} if activity.waiting else {}
    waiting = len(activity.live) - len(activity.waiting) - len(activity.on) - len(activity.tools)
    return Snapshot(
        wall_ns=attribution.wall_ns,
        spent=attribution.spent(),
        engines=[
            EngineSnapshot(
                id=id,
                state=engine.state,
                running=len(engine.turns),
                queued=engine.queued,
                kv_usage=counts.engines[id].kv_usage if engine.turns else 0.0,
                turns=counts.engines[id].turns,
                generated=counts.engines[id].generated,
                written=counts.engines[id].written or counts.engines[id].generated,
                preemptions=counts.engines[id].preemptions,
                weight_version=counts.engines[id].weight_version,
            )
            for id, engine in activity.engines.items()
        ],
        phase=activity.phase,
        step=counts.step,
        generating=len(activity.on),
        ready=ready,
        tools=len(activity.tools),
        agents=max(waiting, 0),
        finished=counts.finished,
        failed=counts.failed,
        events=counts.events,
    )
