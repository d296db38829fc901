"""What the metrics of engines cannot tell, whoever reads them, and where headway's own record has it."""

import msgspec


class Unknowable(msgspec.Struct, frozen=True, kw_only=True):
    """One such thing, and what in a profile of headway's own answers it."""

    what: str
    instead: str


UNKNOWABLE = (
    Unknowable(
        what="why an engine had no request: trajectories in tools, agents at work, the trainer's step, a "
        "client's own limit, or nothing left to do",
        instead="causes tool_wait, agent, training, cap, long_tail, no_work",
    ),
    Unknowable(
        what="which trajectory waits, for what, and which ones the others wait for at the end",
        instead="the slowest trajectories, and the life of each one",
    ),
    Unknowable(
        what="how late requests were sent: a turn that is ready in the client is in no queue that shows here",
        instead="cause dispatch_lag",
    ),
    Unknowable(
        what="KV cache that trajectories will come back to: usage counts running requests alone",
        instead="the ledger's headroom; cause kv_full",
    ),
    Unknowable(
        what="work done twice: what is prefilled again after a preemption or an eviction has no counter",
        instead="cause busy_recompute",
    ),
    Unknowable(
        what="time in weight updates, and which weights wrote which tokens",
        instead="cause weight_sync; weight versions by turn",
    ),
    Unknowable(
        what="anything shorter than the time between two readings",
        instead="every event, in nanoseconds on one clock",
    ),
)
