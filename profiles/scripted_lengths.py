"""Engines that end every turn where the script says, although whoever schedules it knows only the limit.

Which turn of which trajectory a request is follows from its id and from the length of its prompt, which is
another one at every turn of a trajectory; so a turn that is tried again is the same turn.
"""

from pathlib import Path

import msgspec

from headway.engine import Engine, EngineInfo, EngineStats, Generation, Request

from .workload import Script, Workload


def script_of(workload: Workload, trajectory: str) -> Script:
    """The script of a trajectory, by the id that the scheduler gives it: ``g{group}.{sibling}``."""
    group, sibling = place_of(trajectory)
    return workload.groups[group].scripts[sibling]


def place_of(trajectory: str) -> tuple[int, int]:
    """A trajectory's group and place in it, both from 0."""
    group, sibling = trajectory.split(".")[:2]
    return int(group[1:]) - 1, int(sibling)


class TurnLengths:
    """How long every turn of a workload is, by trajectory and tokens of its prompt."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._lengths: dict[
            str, dict[int, int]
        ] = {}  # of trajectories that have asked, until their last turn

    def look_up(self, request: str, prompt: int) -> int:
        """The tokens to generate; raises ``KeyError`` for a prompt that is in no script."""
        trajectory = request.rpartition(".")[0]
        lengths = self._lengths.get(trajectory)
        if lengths is None:
            lengths = self._lengths[trajectory] = self._read(trajectory)
        return lengths[prompt]

    def _read(self, trajectory: str) -> dict[int, int]:
        group, sibling = place_of(trajectory)
        start = self._workload.system + self._workload.groups[group].prompt
        script = self._workload.groups[group].scripts[sibling]
        return {context: turn.generated for context, turn in script.contexts(start)}


class ScriptedLengths:
    """An engine whose turns have the scripted lengths; in all else it is the one that it wraps."""

    def __init__(self, engine: Engine, lengths: TurnLengths) -> None:
        self._engine = engine
        self._lengths = lengths

    @property
    def info(self) -> EngineInfo:
        """The wrapped engine's."""
        return self._engine.info

    def stats(self) -> EngineStats:
        """The wrapped engine's."""
        return self._engine.stats()

    async def generate(self, request: Request) -> Generation:
        """Generate the scripted number of tokens."""
        length = self._lengths.look_up(request.id, len(request.prompt))
        sampling = msgspec.structs.replace(request.sampling, max_tokens=length)
        return await self._engine.generate(msgspec.structs.replace(request, sampling=sampling))

    async def abort(self, request_id: str) -> None:
        """As the wrapped engine does."""
        await self._engine.abort(request_id)

    async def pause(self) -> None:
        """As the wrapped engine does."""
        await self._engine.pause()

    async def resume(self) -> None:
        """As the wrapped engine does."""
        await self._engine.resume()

    async def update_weights(self, weights: Path, version: int) -> None:
        """As the wrapped engine does."""
        await self._engine.update_weights(weights, version)

    async def close(self) -> None:
        """As the wrapped engine does."""
        await self._engine.close()
