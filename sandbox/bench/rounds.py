"""Carries out a plan: rounds of closed loops, open loops and bursts, one measurement after another.

Invariants: only one measurement runs at a time; what was measured is handed over at once, so none is lost
when the next is cut off. Knows nothing of how executors are started or of what is shown.
"""

import itertools
import time
from collections.abc import Awaitable, Callable, Sequence

from ..errors import SandboxError
from . import usage
from .arrivals import poisson_arrivals
from .executors import Executor
from .loops import closed_loop, open_loop
from .plan import OURS, Plan, rotated
from .row import Cost, Measured, Mode, Sight, measured
from .sample import Sample
from .snippets import bench_calls


class Rounds:
    """One benchmark on executors that are started; ``references`` take part in closed loops only."""

    def __init__(
        self,
        plan: Plan,
        executors: Sequence[Executor],
        references: Sequence[Executor],
        *,
        taken: Callable[[Measured], None],
        left_out: Callable[[str, str], None],
    ) -> None:
        self._plan = plan
        self._executors = executors
        self._references = references
        self._taken = taken
        self._left_out = left_out

    async def run(self) -> None:
        """Measure everything."""
        await self._warm_up()
        for number in range(self._plan.rounds):
            for snippet in self._plan.snippets:
                await self._round(snippet, number)

    async def _warm_up(self) -> None:
        """Fill the page cache and start what an executor starts on first use."""
        snippets = self._plan.snippets
        kinds = ["light", "numpy", "sympy"] if "mixed" in snippets else snippets
        for executor in (*self._executors, *self._references):
            for kind in kinds:
                samples = await closed_loop(
                    executor,
                    itertools.islice(bench_calls(kind, "warm-up"), self._plan.workers),
                    outstanding=self._plan.workers,
                )
                if not any(sample.right for sample in samples):
                    raise SandboxError(
                        f"{executor.name}: a {kind} call was not answered rightly; are numpy and sympy there?"
                    )

    async def _round(self, snippet: str, number: int) -> None:
        rates: dict[str, float] = {}
        for executor in rotated([*self._executors, *self._references], number):
            rates[executor.name] = await self._closed(executor, snippet, number)
        for executor in rotated(self._executors, number):
            await self._open(executor, snippet, number, rates[executor.name])
        for executor in self._executors:
            if executor.name == OURS:
                for size in self._plan.bursts:
                    await self._burst(executor, snippet, number, size, rates[executor.name])

    async def _closed(self, executor: Executor, snippet: str, number: int) -> float:
        plan, outstanding = self._plan, self._plan.outstanding[0]
        calls = itertools.islice(bench_calls(snippet, f"{plan.seed} {number} closed"), plan.calls)
        seconds = None if plan.calls else plan.seconds
        loop = closed_loop(executor, calls, outstanding=outstanding, seconds=seconds)
        sight = Sight(executor.name, snippet, Mode.CLOSED, number, outstanding=outstanding)
        return (await self._measure(loop, sight)).row.calls_per_s

    async def _open(self, executor: Executor, snippet: str, number: int, closed_rate: float) -> None:
        plan = self._plan
        why_not = plan.why_no_open_loop(closed_rate)
        if why_not is not None:
            self._left_out(f"{snippet}, open loop of {executor.name}", why_not)
            return
        rate = plan.arrival_rate(closed_rate)
        seed = f"{plan.seed} {number} open"
        arrivals = poisson_arrivals(rate, f"{seed} {snippet}", seconds=plan.seconds, count=plan.calls)
        loop = open_loop(executor, bench_calls(snippet, seed), arrivals)
        sight = Sight(executor.name, snippet, Mode.OPEN, number, rate=rate, load=rate / closed_rate)
        await self._measure(loop, sight)

    async def _burst(
        self, executor: Executor, snippet: str, number: int, size: int, closed_rate: float
    ) -> None:
        why_not = self._plan.why_no_burst(size, closed_rate)
        if why_not is not None:
            self._left_out(f"{snippet}, burst of {size:,}", why_not)
            return
        calls = itertools.islice(bench_calls(snippet, f"{self._plan.seed} {number} burst {size}"), size)
        loop = closed_loop(executor, calls, outstanding=size)
        await self._measure(loop, Sight(executor.name, snippet, Mode.BURST, number, outstanding=size))

    async def _measure(self, loop: Awaitable[list[Sample]], sight: Sight) -> Measured:
        usage.reset_peak_memory()
        memory, cpu_s, began = usage.memory_bytes(), usage.cpu_s(), time.perf_counter()
        samples = await loop
        cost = Cost(time.perf_counter() - began, usage.cpu_s() - cpu_s, memory, usage.peak_memory_bytes())
        done = measured(samples, cost, sight)
        self._taken(done)
        return done
