"""What a workload asks of all engines together, whatever the schedule.

Every token that no engine wrote is prefilled once, the system prompt once in all and a group's prompt once
a group; every generated token but a turn's first costs its decode and its reads: that is the work W. A step
that yields tokens holds the contexts of those that get one, shared parts once; a context of x tokens thus
takes at least x - system - P + P / m of the tokens that the system prompt leaves. K is the sum of that over
all generated tokens, D over those that decode steps generate.
"""

import msgspec

from headway.engine.simulated.hardware import StepTime

from ..workload import Workload


class Demand(msgspec.Struct):
    """The sums."""

    work_s: float = 0.0  # W
    generated: int = 0
    prefilled: int = 0
    resident: float = 0.0  # K
    decoding: float = 0.0  # D

    @classmethod
    def of(cls, workload: Workload, step: StepTime) -> "Demand":
        """Sum up a workload."""
        total = cls(prefilled=workload.system, work_s=step.prefill_seconds(workload.system))
        for group in workload.groups:
            prompt = workload.system + group.prompt
            total.prefilled += group.prompt
            total.work_s += step.prefill_seconds(prompt, workload.system)
            shared = prompt - group.prompt / len(group.scripts)
            for script in group.scripts:
                known = prompt
                for context, turn in script.contexts(prompt):
                    total._prefill(known, context, step)
                    total._generate(context, turn.generated, shared, step)
                    known = context + turn.generated
        return total

    def _prefill(self, known: int, context: int, step: StepTime) -> None:
        self.prefilled += context - known
        self.work_s += step.prefill_seconds(context, known)

    def _generate(self, context: int, generated: int, shared: float, step: StepTime) -> None:
        decodes, reads = decode(context, generated)
        self.generated += generated
        self.work_s += step.decode * decodes + step.kv_read * reads
        self.decoding += reads - decodes * shared
        self.resident += context - shared + reads - decodes * shared


def decode(context: int, generated: int) -> tuple[int, int]:
    """The decode steps of a turn, and the least tokens that they read."""
    decodes = generated - 1
    return decodes, decodes * context + decodes * (decodes + 1) // 2
