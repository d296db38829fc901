"""Plays a workload through the unmodified scheduler on engines of any kind, and says how it went.

Closed loop: a trajectory's next turn starts when its last one has completed and its tool has run, on the
event loop's clock, virtual or real. Every policy sees the same prompts, lengths and tool times; no policy is
told how long a turn will be. Tokens are made up so that exactly what is common to two prompts is equal.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from headway.engine import Engine
from headway.errors import HeadwayError
from headway.scheduler import (
    Episode,
    EpisodeConfig,
    Group,
    Outcome,
    Policy,
    Scheduler,
    Task,
    TurnConfig,
)
from headway.scheduler.events import EventSink
from headway.scheduler.tool import Observation

from .loop_result import Measures, Result
from .scripted_lengths import ScriptedLengths, TurnLengths, place_of, script_of
from .workload import ScriptedGroup, Workload

_BASE = 499  # made-up ids are 1..499, so that any real model's vocabulary has them
VIRTUAL_LIMIT_S = 30 * 86400.0  # of a turn in virtual time, where only a hang reaches it


async def play(
    workload: Workload,
    engines: Sequence[Engine],
    policy: Policy,
    *,
    sink: EventSink | None = None,
    limit_s: float = VIRTUAL_LIMIT_S,
    name_blocks: bool = False,
) -> Result:
    """Begin every group when the workload says, and wait for the last.

    ``sink`` also takes every event; ``limit_s`` is the most that a turn, its wait inside the engine included,
    or an agent's tools may take; ``name_blocks`` is the scheduler's. Raises ``HeadwayError`` naming the first
    trajectory that failed.
    """
    workload.check()
    lengths = TurnLengths(workload)
    wrapped = [ScriptedLengths(engine, lengths) for engine in engines]
    loop = asyncio.get_running_loop()
    measures = Measures(workload, [engine.info.id for engine in engines], start=loop.time(), also=sink)
    scheduler = Scheduler(
        wrapped,
        policy=policy,
        agent=ScriptedAgent(workload),
        reward=_no_reward,
        episodes=EpisodeConfig(max_context=workload.max_context, agent_timeout_s=limit_s),
        turns=TurnConfig(timeout_s=limit_s),
        sink=measures,
        name_blocks=name_blocks,
    )
    try:
        await _run_all(scheduler, workload)
    finally:
        await scheduler.close()
    return measures.result(engines, end=loop.time(), decision_us=scheduler.decision_us)


class SleepTool:
    """A tool that takes the time that it is told to, and says nothing."""

    name = "sleep"
    schema: dict[str, Any] = {}  # noqa: RUF012 - an instance of the protocol's attribute

    async def run(self, arguments: dict[str, Any]) -> Observation:
        """Wait for ``arguments["seconds"]``."""
        await asyncio.sleep(arguments["seconds"])
        return Observation(text="", status="ok", wall_s=arguments["seconds"])


class ScriptedAgent:
    """Does what a workload says of the trajectory that it is given."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._tool = SleepTool()

    async def __call__(self, episode: Episode) -> Outcome:
        """Run the trajectory's turns and tools."""
        group, sibling = place_of(episode.id)
        script = script_of(self._workload, episode.id)
        episode.observe(
            [1] * self._workload.system + distinct(self._workload.groups[group].prompt, group, 0, 0)
        )
        for number, turn in enumerate(script.turns, 1):
            await episode.generate(self._workload.turn_limit)
            if number < len(script.turns):
                await episode.call(self._tool, {"seconds": turn.tool_s})
                episode.observe(distinct(turn.observed, group, sibling + 1, number))
        return Outcome("answer")


def distinct(count: int, *what: int) -> list[int]:
    """Make ``count`` tokens up that differ, from the first few on, from those of anything else."""
    digits: list[int] = []
    for number in what:
        digits += [number % _BASE + 1, number // _BASE % _BASE + 1]
    return (digits + digits[:1] * max(count - len(digits), 0))[:count]


async def _no_reward(task: Task, outcome: Outcome) -> None:
    return None


async def _run_all(scheduler: Scheduler, workload: Workload) -> None:
    """Begin groups as others complete; the first failure ends it."""
    completed = _Count()

    async def run(number: int, group: ScriptedGroup) -> None:
        await completed.reach(group.after)
        await asyncio.sleep(group.delay_s)
        task = Task(id=f"task-{number}", messages=[])
        _raise_if_failed(await scheduler.submit(task, samples=len(group.scripts), name=f"g{number}"))
        completed.increase()

    groups = [asyncio.create_task(run(number, group)) for number, group in enumerate(workload.groups, 1)]
    try:
        await asyncio.gather(*groups)
    finally:
        for group in groups:
            group.cancel()
        await asyncio.gather(*groups, return_exceptions=True)


class _Count:
    """A number that only grows, and that can be waited for."""

    def __init__(self) -> None:
        self._value = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []

    async def reach(self, value: int) -> None:
        if value > self._value:
            reached = asyncio.Event()
            self._waiting.append((value, reached))
            await reached.wait()

    def increase(self) -> None:
        self._value += 1
        for value, reached in self._waiting:
            if value <= self._value:
                reached.set()


def _raise_if_failed(group: Group) -> None:
    for rollout in group.rollouts:
        if rollout.failure is not None:
            raise HeadwayError(
                f"trajectory {rollout.id} of the workload failed ({rollout.failure.boundary}): "
                f"{rollout.failure.message}"
            )
