"""What an engine was found doing between two readings of its metrics: the first rule that applies.

Knows nothing of time.
"""

from enum import StrEnum

from .exposition import Reading

FULL = 0.9  # of the KV cache; a waiting request needs several blocks at once, so it is never quite full


class State(StrEnum):
    """Every state, in the order of the rules."""

    UNSEEN = "unseen"  # it did not answer, or not yet, or it was restarted
    ASLEEP = "asleep"  # its owner has put it to sleep
    BLOCKED = "blocked"  # nothing runs, and requests wait in its own queue
    IMBALANCE = "imbalance"  # it has no request, and requests wait in the queue of another engine
    IDLE = "idle"  # it has no request, and none waits in any engine that is watched
    NO_OUTPUT = "no_output"  # requests run, and none has got a token since the reading before
    KV_FULL = "kv_full"  # it runs, and requests wait for its KV cache
    QUEUEING = "queueing"  # it runs, and requests wait for something else
    BUSY = "busy"  # it runs, and nothing waits

    @property
    def is_idle(self) -> bool:
        """Whether the engine was seen, and ran nothing."""
        return self in (State.ASLEEP, State.BLOCKED, State.IMBALANCE, State.IDLE)


def state_of(before: Reading | None, now: Reading, *, others_wait: bool) -> State:
    """The state of the time between two readings, by how the later one found the engine.

    ``others_wait``: requests wait in another engine, one of the same model.
    """
    if before is None or not now.follows(before):
        return State.UNSEEN
    if not now.awake:
        return State.ASLEEP
    if not now.running:
        if now.waiting:
            return State.BLOCKED
        return State.IMBALANCE if others_wait else State.IDLE
    if before.running and not progressed(before, now):
        return State.NO_OUTPUT
    if not now.waiting:
        return State.BUSY
    preempted = _counted("preemptions", before, now) > 0
    return State.KV_FULL if now.kv_usage >= FULL or preempted else State.QUEUEING


def progressed(before: Reading, now: Reading) -> bool:
    """Whether any request got a token between two readings."""
    return _counted("generated", before, now) > 0


def _counted(counter: str, before: Reading, now: Reading) -> float:
    return now.counters.get(counter, 0.0) - before.counters.get(counter, 0.0)
