"""What no schedule can beat, not even one that knows all lengths in advance: the least makespan of a
workload.

The machine is that of ``headway/engine/simulated``: E engines of C cached tokens, whose steps take ``fixed
+ prefill * p + decode * n + kv_read * r + attention * sum(p_i c_i)`` seconds. Let a turn with a prompt of c
tokens generate g of them: the first comes with the last of its prefill, each of the other g - 1 from a step
that reads c + j tokens, its own included (j = 1..g-1). ``system`` tokens are common to all prompts, P more
to the m trajectories of a group; what is left of a context is private. Turns that have begun run to their
end: a schedule that stopped them to let prefill write each next token would pay less ``kv_read``, and is not
covered. Each bound is derived in its own module: the work and the critical path, the crowd, the KV cache.
"""

import msgspec

from headway.engine.simulated.hardware import Hardware
from headway.errors import InputError

from ..workload import Workload
from .crowd import crowd_bound
from .demand import Demand
from .kv import kv_bound
from .work import compute_bound, critical_path


class Bound(msgspec.Struct, frozen=True):
    """Seconds that no schedule beats, for four reasons."""

    compute_s: float
    kv_s: float
    critical_path_s: float
    crowd_s: float = 0.0

    @property
    def seconds(self) -> float:
        """The largest."""
        return max(self.compute_s, self.kv_s, self.critical_path_s, self.crowd_s)

    @property
    def reason(self) -> str:
        """Which is the largest."""
        reasons = {
            "compute": self.compute_s,
            "kv": self.kv_s,
            "critical path": self.critical_path_s,
            "crowd": self.crowd_s,
        }
        return max(reasons, key=lambda reason: reasons[reason])


def lower_bound(
    workload: Workload, hardware: Hardware, *, engines: int, kv_tokens: int | None = None
) -> Bound:
    """The bound for a workload submitted all at once; ``kv_tokens`` (C) is by default the hardware's."""
    kv_tokens = kv_tokens or hardware.kv_tokens
    if kv_tokens <= workload.system:
        raise InputError(
            f"workload {workload.name}: its system prompt of {workload.system} tokens fills the KV cache "
            f"of {kv_tokens}"
        )
    demand = Demand.of(workload, hardware.step)
    compute_s = compute_bound(demand, hardware, engines)
    path_s = critical_path(workload, hardware)
    crowd_s = crowd_bound(workload, hardware, engines, demand.work_s)
    return Bound(
        compute_s=compute_s,
        kv_s=kv_bound(workload, hardware, demand, engines, kv_tokens),
        critical_path_s=path_s,
        crowd_s=crowd_s,
    )


__all__ = ["Bound", "lower_bound"]
