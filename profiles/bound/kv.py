"""The bound of the KV cache: small batches cost steps, and what is not kept is computed again.

With the names of ``demand``: what is resident in a step fits what the system prompt leaves of the cache, so
that K <= S (C - system). A gap between two turns either keeps its trajectory's private context cached for at
least the tool's time, or a part of it is prefilled again: to evict a share f of it saves at most f of that
space-time and costs at least f of the whole private prefill (a prefix cache loses the end of a context first,
whose prefill costs most). Let rho seconds go into such prefill, those gaps first that give most space-time
for a second, and let H(rho) be the space-time of the rest. Then S <= (E T - W - rho) / fixed. A step that
holds R tokens of decoding contexts, each of which it reads, takes at least fixed + kv_read R, so that by
Jensen's inequality
    fixed D + kv_read D^2 / S + H(rho) <= C E T.
The least T for which some rho satisfies both is the bound; a gap that would be split at rho is taken to be
free, which errs on the safe side. Of one trajectory alone in its group the prompt is private too.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headway.engine.simulated.hardware import Hardware, StepTime

from ..workload import Workload
from .demand import Demand

_EXACT = 1e-4  # of the bisection, relative


class _Gaps(NamedTuple):
    """Gaps in the order in which they are given up: sums over the first 0, 1, 2, … of them."""

    recompute_s: NDArray[np.float64]
    held: NDArray[np.float64]  # token-seconds of those not given up


def kv_bound(workload: Workload, hardware: Hardware, demand: Demand, engines: int, kv_tokens: int) -> float:
    """The least seconds that both inequalities allow; 0 where ``fixed`` is, as steps are then for nothing."""
    step = hardware.step
    if step.fixed <= 0:
        return 0.0
    gaps = _gaps(workload, step)

    def feasible(seconds: float) -> bool:
        steps = (engines * seconds - demand.work_s - gaps.recompute_s[:-1]) / step.fixed
        enough = (steps > 0) & (demand.resident <= steps * (kv_tokens - workload.system))
        reads = step.kv_read * demand.decoding**2 / np.maximum(steps, 1e-9)
        used = step.fixed * demand.decoding + reads + gaps.held[1:]
        return bool(np.any(enough & (used <= kv_tokens * engines * seconds)))

    return _least(feasible, demand.work_s / engines)


def _least(feasible: Callable[[float], bool], low: float) -> float:
    """Bisect for the least feasible value, from below."""
    high = 2 * low + 1.0
    while not feasible(high):
        low, high = high, 2 * high
    while high - low > _EXACT * high:
        middle = (low + high) / 2
        low, high = (low, middle) if feasible(middle) else (middle, high)
    return low


def _gaps(workload: Workload, step: StepTime) -> _Gaps:
    held, recompute = [0.0], [0.0]  # a gap that is none, so that there always is one
    for group in workload.groups:
        shared = workload.system + (group.prompt if len(group.scripts) > 1 else 0)
        for script in group.scripts:
            for context, turn in list(script.contexts(workload.system + group.prompt))[:-1]:
                end = context + turn.generated - 1  # the last token is cached with the next turn only
                held.append((end - shared) * turn.tool_s)
                recompute.append(step.prefill_seconds(end, shared))
    space, seconds = np.asarray(held), np.asarray(recompute)
    order = np.argsort(-space / np.maximum(seconds, 1e-12), kind="stable")
    given_up = np.concatenate([[0.0], np.cumsum(space[order])])
    return _Gaps(
        recompute_s=np.concatenate([[0.0], np.cumsum(seconds[order])]),
        held=np.maximum(given_up[-1] - given_up, 0.0),
    )
