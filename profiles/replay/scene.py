"""One workload on one set of engines: what every policy of a replay is given alike."""

import msgspec

from headway.errors import InputError

from ..traces import TraceOptions
from ..traces.limits import limited
from ..traces.options import TooLong
from ..workload import Workload
from .engine_set import EngineSet


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A workload, which ``seed`` drew where it is drawn, and the engines that it is played on."""

    workload: Workload
    engines: EngineSet
    seed: int = 0

    @property
    def where(self) -> str:
        """The scene in words."""
        engines = f"{self.engines.count} engine{'s' if self.engines.count > 1 else ''}"
        return f"{self.workload.name}, {engines}, seed {self.seed}"


def within(workload: Workload, engines: EngineSet, *, too_long: TooLong) -> Workload:
    """The workload without contexts that none of the engines can hold; what changes is said in its notes."""
    limit = engines.longest_context
    longest = max(workload.system + g.prompt + s.tokens for g in workload.groups for s in g.scripts)
    if longest <= limit:
        return msgspec.structs.replace(workload, max_context=min(workload.max_context, limit))
    try:
        return limited(workload, TraceOptions(max_context=limit, too_long=too_long))[0]
    except InputError:
        raise InputError(
            f"workload {workload.name}: an engine of {engines.hardware.name} holds contexts of {limit} "
            "tokens at most, and no first turn fits; give more (--kv-tokens, --hardware), or --too-long scale"
        ) from None
