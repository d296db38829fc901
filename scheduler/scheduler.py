"""Tasks in, groups of rollouts out, as they complete.

Invariants: every trajectory started ends exactly once, finished or failed with a cause; a failed trajectory
is a record like any other and never takes its group along; every wait has a limit.
Knows nothing of placement (``turns`` and the core below it) or of what an agent does.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from headway.engine import Engine
from headway.engine.weight_transfer import HandOver

from .agent import Agent, Outcome
from .agent_clock import AgentClock
from .block_names import BlockNames
from .episode import Episode, Hooks, Turn
from .events import Discard, EventSink, ToolEnded, ToolStarted, TrajectoryEnded, TrajectoryStarted, now_ns
from .failures import RewardFault, explain
from .policy import Policy
from .reward import Reward
from .rollout import Failure, Group, Rollout
from .task import Task
from .turns import TurnConfig, Turns


class EpisodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of an episode: tokens of context, and seconds that its agent may take outside its turns."""

    max_context: int
    agent_timeout_s: float = 3600.0


class Scheduler:
    """Runs episodes on a fleet of engines, which stay their owner's.

    ``on_rollout`` is told each rollout as it ends, before its group is complete. Groups without a name are
    numbered from ``first_group`` + 1. ``begun`` is what an earlier run has left, by group: of its rollouts of
    the same task those that finished are part of the group, and those that are unfinished go on.
    ``name_blocks`` has the events name the blocks of contexts, by hashes with a key that nobody keeps.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        policy: Policy,
        agent: Agent,
        reward: Reward,
        episodes: EpisodeConfig,
        turns: TurnConfig,
        sink: EventSink | None = None,
        on_rollout: Callable[[Rollout], None] = lambda rollout: None,
        first_group: int = 0,
        begun: Mapping[str, Sequence[Rollout]] | None = None,
        name_blocks: bool = False,
    ) -> None:
        self._agent = agent
        self._reward = reward
        self._config = episodes
        self._on_rollout = on_rollout
        self._sink: EventSink = sink or Discard()
        self._turns = Turns(
            engines,
            config=turns,
            policy=policy,
            sink=self._sink,
            max_context=episodes.max_context,
            block_names=BlockNames() if name_blocks else None,
        )
        self._clocks: dict[str, AgentClock] = {}
        self._hooks = Hooks(self._run_turn, self._tool_started, self._tool_ended)
        self._running: set[asyncio.Task[Group]] = set()
        self._groups = first_group
        self._begun = begun or {}
        self._episodes: dict[str, Episode] = {}

    def submit(
        self, task: Task, *, samples: int, name: str | None = None, agent: Agent | None = None
    ) -> asyncio.Task[Group]:
        """Start ``samples`` trajectories of a task; the result is their group. Cancelling it ends them.

        ``name`` is the group's, and no other's; ``agent`` takes the place of the scheduler's own.
        """
        self._groups += 1
        order = self._groups
        group = asyncio.create_task(
            self._run_group(task, name or f"g{order}", order, samples, agent or self._agent)
        )
        self._running.add(group)
        group.add_done_callback(self._running.discard)
        return group

    async def stream(
        self,
        tasks: Iterable[Task],
        *,
        samples: int,
        max_live: int = 4096,
        names: Iterable[str] | None = None,
        agent: Agent | None = None,
    ) -> AsyncGenerator[Group, None]:
        """Run tasks and yield each group as it completes; ``max_live`` bounds the trajectories alive.

        ``names`` and ``agent`` are as in ``submit``, a name for each task.
        """
        source = zip(tasks, names if names is not None else itertools.repeat(None), strict=False)
        pending: set[asyncio.Task[Group]] = set()
        at_once = max(max_live // samples, 1)
        try:
            while True:
                while len(pending) < at_once and (wanted := next(source, None)) is not None:
                    task, name = wanted
                    pending.add(self.submit(task, samples=samples, name=name, agent=agent))
                if not pending:
                    return
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for group in done:
                    yield group.result()
        finally:
            await _cancel(pending)

    async def update_weights(self, weights: Path | HandOver, version: int) -> None:
        """Bring new weights into every live engine; tokens then carry ``version``.

        ``weights``: a file (safetensors, HF names), or what is awaited with each engine to hand them over.
        """
        await self._turns.update_weights(weights, version)

    @property
    def decision_us(self) -> float:
        """Mean microseconds that it took to decide on an event of a trajectory."""
        return self._turns.decision_us

    async def close(self) -> None:
        """End whatever still runs."""
        await _cancel(self._running)

    def unfinished(self) -> list[Rollout]:
        """What there is of every live trajectory that has a turn, up to the end of its last one."""
        return [_so_far(episode) for episode in self._episodes.values() if episode.turns]

    async def _run_group(self, task: Task, name: str, order: int, samples: int, agent: Agent) -> Group:
        begun = {rollout.id: rollout for rollout in self._begun.get(name, ()) if rollout.task == task.id}
        running: dict[str, asyncio.Task[Rollout]] = {}
        async with asyncio.TaskGroup() as siblings:
            for id in (f"{name}.{sibling}" for sibling in range(samples)):
                if id not in begun or begun[id].finish_reason == "unfinished":
                    episode = Episode(
                        id=id,
                        group=name,
                        task=task,
                        priority=order,
                        max_context=self._config.max_context,
                        hooks=self._hooks,
                        begun=begun.pop(id, None),
                    )
                    running[id] = siblings.create_task(self._run_trajectory(episode, agent))
        ended = begun | {id: sibling.result() for id, sibling in running.items()}
        return Group(task.id, [ended[f"{name}.{sibling}"] for sibling in range(samples)])

    async def _run_trajectory(self, episode: Episode, agent: Agent) -> Rollout:
        """Run one trajectory to its end; whatever happens, its end is noted once."""
        id, task = episode.id, episode.task
        self._sink.emit(TrajectoryStarted(t=now_ns(), trajectory=id, group=episode.group, task=task.id))
        outcome, reward, failure = Outcome("failed"), None, None
        try:
            self._episodes[id] = episode
            outcome = await self._run_agent(episode, agent)
            self._turns.ended(id, failed=False)
            reward = await self._score(episode, outcome)
        except asyncio.CancelledError:
            failure = Failure("cancelled", "the trajectory was cancelled")
            if _is_being_cancelled():
                raise
        except Exception as error:
            failure = explain(error)
        finally:
            self._episodes.pop(id, None)
            self._turns.ended(id, failed=failure is not None)
            rollout = _record(episode, outcome, reward, failure)
            self._note_end(rollout)
        self._on_rollout(rollout)
        return rollout

    async def _run_agent(self, episode: Episode, agent: Agent) -> Outcome:
        clock = self._clocks[episode.id] = AgentClock(self._config.agent_timeout_s)
        try:
            async with clock:
                outcome = await agent(episode)
        finally:
            del self._clocks[episode.id]
        if not isinstance(outcome, Outcome):
            raise TypeError(f"the agent returned {outcome!r}; it must return an Outcome")
        return outcome

    async def _run_turn(self, episode: Episode, max_tokens: int) -> Turn:
        with self._clocks[episode.id].stopped():
            return await self._turns.run(episode, max_tokens)

    async def _score(self, episode: Episode, outcome: Outcome) -> float | None:
        self._tool_started(episode, "reward")
        status = "fault"
        try:
            reward = await self._reward(episode.task, outcome)
            reward = None if reward is None else float(reward)
            status = "ok"
        except Exception as error:
            raise RewardFault(str(error) or type(error).__name__) from error
        finally:
            self._tool_ended(episode, "reward", status)
        return reward

    def _tool_started(self, episode: Episode, tool: str) -> None:
        turn = len(episode.turns) - 1
        self._sink.emit(ToolStarted(t=now_ns(), trajectory=episode.id, turn=turn, tool=tool))

    def _tool_ended(self, episode: Episode, tool: str, status: str) -> None:
        turn = len(episode.turns) - 1
        self._sink.emit(ToolEnded(t=now_ns(), trajectory=episode.id, turn=turn, tool=tool, status=status))

    def _note_end(self, rollout: Rollout) -> None:
        self._sink.emit(
            TrajectoryEnded(
                t=now_ns(),
                trajectory=rollout.id,
                status="failed" if rollout.failure else "finished",
                cause=f"{rollout.failure.boundary}: {rollout.failure.message}"
                if rollout.failure
                else rollout.finish_reason,
                turns=len(rollout.turns),
                tokens=len(rollout.tokens),
                reward=rollout.reward,
            )
        )


def _is_being_cancelled() -> bool:
    """Whether it is the trajectory itself that is cancelled, rather than something that its agent awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _record(episode: Episode, outcome: Outcome, reward: float | None, failure: Failure | None) -> Rollout:
    return Rollout(
        id=episode.id,
        group=episode.group,
        task=episode.task.id,
        prompt=episode.prompt,
        tokens=episode.tokens,
        mask=episode.mask,
        logprobs=episode.logprobs,
        versions=episode.versions,
        turns=list(episode.turns),
        tool_calls=list(episode.tool_calls),
        finish_reason="failed" if failure else outcome.finish_reason,
        answer=outcome.answer,
        answer_tags=outcome.answer_tags,
        reward=None if failure else reward,
        failure=failure,
    )


def _so_far(episode: Episode) -> Rollout:
    """The record of an episode as if it had ended with its last turn."""
    end = episode.turns[-1].end
    whole = _record(episode, Outcome("unfinished"), None, None)
    parts = {name: getattr(whole, name)[:end] for name in ("tokens", "mask", "logprobs", "versions")}
    return msgspec.structs.replace(whole, **parts)


async def _cancel(groups: Iterable[asyncio.Task[Group]]) -> None:
    groups = list(groups)
    for group in groups:
        group.cancel()
    await asyncio.gather(*groups, return_exceptions=True)
