"""What a watch found that can be mended, with the lever for each: ranked by the engine time that it took.

Knows nothing of how the time was counted.
"""

from collections.abc import Sequence

import msgspec

from ..wording import share
from .figures import EngineFigures
from .state import State

_WORTH_TELLING = 0.01  # of the time seen

_LEVERS = {
    State.ASLEEP: "the trainer has the GPUs meanwhile: roll out ahead on engines that stay awake",
    State.BLOCKED: "the engine is paused, gets weights or fetches KV: look at what drives it",
    State.IMBALANCE: "requests go to engines that queue while others have none: route by load or by headroom",
    State.IDLE: "metrics cannot tell whether tools, agents, the trainer or a lack of work did it: see below",
    State.NO_OUTPUT: "long prompts are prefilled (chunked prefill, prefix caching), or the engine is stuck",
    State.KV_FULL: "more KV cache an engine (gpu_memory_utilization, fp8 KV), more engines, shorter "
    "contexts, or fewer requests at once",
    State.QUEUEING: "KV cache is left: raise max_num_seqs or max_num_batched_tokens",
}


class ForeignFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A state, the engine time that went into it, where it was seen, and what to do about it."""

    state: str
    ns: int
    seen: str
    lever: str


def find(engines: Sequence[EngineFigures]) -> list[ForeignFinding]:
    """Rank the states that something can be done about, the costliest first."""
    spent = {state: [engine.states.get(state, 0) for engine in engines] for state in State}
    seen = sum(map(sum, spent.values())) - sum(spent[State.UNSEEN])
    found = [
        ForeignFinding(state=state, ns=sum(ns), seen=_seen(engines, ns, seen), lever=lever)
        for state, lever in _LEVERS.items()
        if sum(ns := spent[state]) > _WORTH_TELLING * seen
    ]
    return sorted(found, key=lambda finding: -finding.ns)


def _seen(engines: Sequence[EngineFigures], ns: list[int], seen: int) -> str:
    most, engine = max(zip(ns, engines, strict=True), key=lambda pair: pair[0])
    of_all = f"{share(sum(ns), seen)} of the engine time seen"
    return of_all if len(engines) == 1 else f"{of_all}; {share(most, sum(ns))} of that on {engine.id}"
