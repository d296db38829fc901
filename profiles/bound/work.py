"""Two bounds from work alone: all of it shared evenly, and the longest trajectory by itself.

Compute. The work W takes S steps at ``fixed`` each, and S is at least generated / max_num_seqs and
prefilled / max_batched_tokens, so E T >= fixed S + W.

Critical path. A trajectory's own turns and tools follow each other, and alone on an empty engine each of its
steps takes ``fixed`` and its own share. Nobody can have its prompt cached before it has been prefilled, from
time 0 on, so it waits for its first prefill whoever does it.

Both take it that to read a token of context costs no more than to prefill it, as on any machine: else an
engine could save reading by a preemption, since the prefill that follows gives a token, too.
"""

import math

from headway.engine.simulated.hardware import Hardware

from ..workload import Script, Workload
from .demand import Demand, decode


def compute_bound(demand: Demand, hardware: Hardware, engines: int) -> float:
    """Seconds of all work at the best batch efficiency, over the engines."""
    steps = max(
        math.ceil(demand.generated / hardware.max_num_seqs),
        math.ceil(demand.prefilled / hardware.max_batched_tokens),
    )
    return (hardware.step.fixed * steps + demand.work_s) / engines


def critical_path(workload: Workload, hardware: Hardware) -> float:
    """Seconds of the longest trajectory."""
    return max(
        (
            sum(alone(script, workload.system + group.prompt, hardware))
            for group in workload.groups
            for script in group.scripts
        ),
        default=0.0,
    )


def alone(script: Script, prompt: int, hardware: Hardware) -> tuple[float, float]:
    """Seconds of a trajectory by itself: in tools, prefill and fixed costs; and in decoding beyond these."""
    step, known = hardware.step, 0
    waits = own = 0.0
    for number, (context, turn) in enumerate(script.contexts(prompt), 1):
        decodes, reads = decode(context, turn.generated)
        steps = max(math.ceil((context - known) / hardware.max_batched_tokens), 1) + decodes
        waits += step.fixed * steps + step.prefill_seconds(context, known)
        waits += turn.tool_s if number < len(script.turns) else 0.0
        own += step.decode * decodes + step.kv_read * reads
        known = context + turn.generated
    return waits, own
