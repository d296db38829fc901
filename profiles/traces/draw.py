"""As many groups of a workload as fill the KV cache of a fleet to a wanted pressure.

Invariants: whole groups are drawn, each once before any is taken again; the same seed draws the same groups
in the same order, whatever the pressure. Knows nothing of where the workload came from.
"""

import random
from collections.abc import Iterator

import msgspec

from headway.engine.simulated.hardware import Hardware
from headway.errors import InputError

from ..pressure import closest, full_step_s
from ..suites import check_fits
from ..workload import ScriptedGroup, Workload


def drawn(
    workload: Workload,
    *,
    pressure: float,
    hardware: Hardware,
    engines: int,
    kv_tokens: int,
    seed: int,
    groups: int | None = None,
) -> Workload:
    """Draw as many groups as come closest to ``pressure``, or ``groups`` of them; all begin at once.

    Raises ``InputError`` for a workload whose longest context no engine can hold.
    """
    if not workload.groups:
        raise InputError(f"workload {workload.name}: has no group to draw")
    longest = max(workload.system + g.prompt + s.tokens for g in workload.groups for s in g.scripts)
    check_fits(f"workload {workload.name}", longest, hardware, kv_tokens)
    source = _without_end(workload.groups, random.Random(f"recorded {seed}"))
    if groups is None:
        wanted = (pressure * kv_tokens - workload.system) * engines
        taken = closest(source, wanted=wanted, token_s=full_step_s(hardware, kv_tokens))
    else:
        taken = [next(source) for _ in range(groups)]
    again = ", some taken again" if len(taken) > len(workload.groups) else ""
    note = f"groups drawn: {len(taken)} from {len(workload.groups)}{again}, all begun at once"
    return msgspec.structs.replace(
        workload,
        groups=taken,
        max_context=min(workload.max_context, kv_tokens, hardware.max_context),
        notes="; ".join(filter(None, [workload.notes, note])),
    )


def _without_end(groups: list[ScriptedGroup], rng: random.Random) -> Iterator[ScriptedGroup]:
    """Yield all groups in a random order, then again in another."""
    while True:
        for group in rng.sample(groups, len(groups)):
            yield ScriptedGroup(group.prompt, group.scripts)
