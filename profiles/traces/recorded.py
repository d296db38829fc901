"""What a recorded run itself came to, for a replay of it to be held against."""

import msgspec

from headway.scheduler.events import EngineStarted


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """Of the trajectories that can be played, and of no others; abandoned turns do not count. Limits that
    were asked for change the workload and not these figures.

    ``makespan_s`` runs from the first ``TrajectoryStarted`` to the last ``TrajectoryEnded``, rewards
    included; ``last_turn_s`` to the last ``TurnEnded``, which is where a replay of it ends. ``engine_ids``
    are all that took part; ``engines`` has what the log says of them, nothing in logs of version 1.
    ``begun_s``: when each group of the workload began, seconds after the first of all.
    """

    log: str
    model: str
    policy: str
    engine_ids: list[str]
    engines: list[EngineStarted]
    trajectories: int
    turns: int
    generated: int
    prompt: int
    cached: int
    preemptions: int
    makespan_s: float
    last_turn_s: float
    begun_s: list[float]

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens a second, up to the last turn's end."""
        return self.generated / self.last_turn_s if self.last_turn_s else 0.0
