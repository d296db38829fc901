"""Holds the simulator against real engines: the same workload, policy and sizes on both.

Knows nothing of how a profile was fitted; a fair comparison uses runs that are not part of the fit.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec

from headway.engine.simulated import Hardware, SimulatedEngine
from headway.scheduler import make_policy

from .closed_loop import play
from .loop_result import Result
from .real_engines import TURN_LIMIT_S, RealEngines, open_real_engines
from .virtual_time import run_virtual
from .workload import Workload


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One policy on one workload, both ways."""

    workload: str
    policy: str
    real: Result
    simulated: Result

    @property
    def error(self) -> float:
        """How far the simulated makespan is off, relative to the real one."""
        return self.simulated.makespan_s / self.real.makespan_s - 1


class Agreement(msgspec.Struct, frozen=True):
    """What a set of pairs says of the simulator; errors of makespans, without their signs."""

    worst: float
    mean: float
    swapped: list[str]

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> "Agreement":
        """Judge at least one pair."""
        errors = [abs(pair.error) for pair in pairs]
        return cls(max(errors), sum(errors) / len(errors), _swapped(pairs))

    @property
    def text(self) -> str:
        """For ``Hardware.error``."""
        if not self.swapped:
            order = "same order of policies"
        else:
            order = f"another order of {'; '.join(self.swapped)}"
        return f"makespan within {self.worst:.0%} (mean {self.mean:.0%}), {order}"


def simulate(workload: Workload, what: RealEngines, *, hardware: Hardware, policy: str) -> Result:
    """Play the workload in virtual time on simulated engines of the sizes of the real ones."""
    sized = msgspec.structs.replace(
        hardware,
        kv_tokens=what.kv_tokens,
        block_size=what.block_size,
        max_num_seqs=what.max_num_seqs,
        max_batched_tokens=what.max_batched_tokens,
        max_context=what.max_context,
    )
    engines = [SimulatedEngine(sized, id=f"engine-{number}") for number in range(what.engines)]
    return run_virtual(play(workload, engines, make_policy(policy)))


async def run_real(
    workload: Workload, what: RealEngines, *, policy: str, log_dir: Path | None = None
) -> Result:
    """Play the workload on fresh engines."""
    async with open_real_engines(what, log_dir=log_dir) as engines:
        return await play(workload, engines, make_policy(policy), limit_s=TURN_LIMIT_S)


def _swapped(pairs: Sequence[Pair], tie: float = 0.02) -> list[str]:
    """Which policies the simulator puts in another order, save those that are as good as equal."""
    return [
        f"{first.policy} and {second.policy} on {first.workload}"
        for first, second in itertools.permutations(pairs, 2)
        if first.workload == second.workload
        and first.real.makespan_s * (1 + tie) < second.real.makespan_s
        and first.simulated.makespan_s > second.simulated.makespan_s
    ]
