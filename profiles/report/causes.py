"""The causes as the page shows them: their order, and what each means."""

from ..cause import Cause

_BUSY = (Cause.BUSY, Cause.BUSY_RECOMPUTE)
ORDER = (*_BUSY, *(cause for cause in Cause if cause not in _BUSY))  # what is busy comes first

MEANINGS: dict[Cause, str] = {
    Cause.UNATTRIBUTED: "events of this time are missing from the record",
    Cause.STARTUP: "the engine loads its model",
    Cause.WEIGHT_SYNC: "the engine takes new weights",
    Cause.DOWN: "the engine is not there",
    Cause.STOPPED: "the job has ended the engine",
    Cause.STALLED: "turns are on the engine, and it takes no step",
    Cause.BUSY_RECOMPUTE: "the engine computes again what its cache has lost",
    Cause.BUSY: "the engine computes",
    Cause.KV_FULL: "a turn is ready, and no engine has KV cache left for it",
    Cause.CAP: "a turn is ready, and the policy's limit of trajectories is reached",
    Cause.AFFINITY_HOLD: "a turn is ready, and waits for the engine that has its cache",
    Cause.BARRIER: "a turn is ready, and the policy lets all take a turn together",
    Cause.TICK: "a turn is ready, and the policy decides at fixed times only",
    Cause.HELD: "a turn is ready, and the policy holds it back",
    Cause.DISPATCH_LAG: "a turn is ready, and the scheduler was late: our own fault",
    Cause.IMBALANCE: "another engine has a queue of its own",
    Cause.TOOL_WAIT: "no turn is ready: trajectories are in their tools",
    Cause.LONG_TAIL: "no turn is ready: the last turns run on other engines",
    Cause.AGENT: "no turn is ready: trajectories are in their agents' own code",
    Cause.TRAINING: "nothing is to be done while the trainer makes its step",
    Cause.NO_WORK: "nothing was submitted",
}


def spoken(cause: str) -> str:
    """A cause as a word."""
    return cause.replace("_", " ")
