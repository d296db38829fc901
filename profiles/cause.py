"""The one thing that an engine's time went into at any moment; all but the busy ones are idle.

The order is that of the rules: the first that applies is the cause. It is a convention, and ``Attribution``
also says what an idle moment would have been called by the next rule.
"""

from enum import StrEnum


class Cause(StrEnum):
    """Every cause, in the order of the rules."""

    UNATTRIBUTED = "unattributed"  # events of this time are missing from the record
    STARTUP = "startup"
    WEIGHT_SYNC = "weight_sync"
    DOWN = "down"
    STOPPED = "stopped"  # the job has ended it
    STALLED = "stalled"  # it takes no step though turns are on it; or all that runs is on such an engine
    BUSY_RECOMPUTE = "busy_recompute"  # all its turns prefill what was computed before, and evicted or left
    BUSY = "busy"
    KV_FULL = "kv_full"  # a turn is ready, and no engine has the headroom for it
    CAP = "cap"  # a turn is ready, and the policy's cap is reached
    AFFINITY_HOLD = "affinity_hold"  # a turn is ready, and waits for another engine
    BARRIER = "barrier"  # a turn is ready, and the policy lets all take a turn together
    TICK = "tick"  # a turn is ready, and the policy decides at fixed times only
    HELD = "held"  # a turn is ready, and the policy holds it back for a reason of its own
    DISPATCH_LAG = "dispatch_lag"  # a turn is ready, and the scheduler was late
    IMBALANCE = "imbalance"  # another engine queues turns of its own
    TOOL_WAIT = "tool_wait"  # live trajectories are in tools
    LONG_TAIL = "long_tail"  # the last turns run on other engines
    AGENT = "agent"  # live trajectories are in their agents' own code
    TRAINING = "training"  # nothing is live; the trainer makes its step
    NO_WORK = "no_work"  # nothing is live

    @property
    def is_busy(self) -> bool:
        """Whether the engine computes."""
        return self in (Cause.BUSY, Cause.BUSY_RECOMPUTE)


LIFECYCLE = {
    "starting": Cause.STARTUP,
    "weight_sync": Cause.WEIGHT_SYNC,
    "down": Cause.DOWN,
    "stopped": Cause.STOPPED,
    "stalled": Cause.STALLED,
}
