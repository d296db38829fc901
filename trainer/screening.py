"""Finds the tasks of a pool that the policy solves every time.

What is known from rollouts that there are is not rolled out again. Knows nothing of stages.
"""

import contextlib
from collections.abc import Callable, Sequence

from headway.scheduler import Agent, Group, Scheduler, Task

from .collector import require_engines
from .solve_rates import SolveRates


def unknown(tasks: Sequence[Task], rates: SolveRates, *, of: int, since: int) -> list[Task]:
    """The tasks of which no group since a version says whether they are solved ``of`` times of as many."""
    return [task for task in tasks if rates.solved(task.id, of=of, since=since) is None]


async def try_out(
    tasks: Sequence[Task],
    rates: SolveRates,
    *,
    scheduler: Scheduler,
    samples: int,
    version: int,
    names: Sequence[str],
    agent: Agent | None,
    on_group: Callable[[Group, int, int], None],
) -> None:
    """Roll out ``samples`` of each task with weights of ``version``, and note how they went."""
    groups = scheduler.stream(tasks, samples=samples, names=names, agent=agent)
    done = 0
    async with contextlib.aclosing(groups):
        async for group in groups:
            require_engines(group)
            rates.note(group, version)
            done += 1
            on_group(group, done, len(tasks))
