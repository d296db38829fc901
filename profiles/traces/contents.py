"""What is in a trace, in figures: how much of what, how long, and how whole it is.

Knows nothing of how it is shown.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from headway.scheduler.events import EngineStarted

from ..workload import Script, Workload
from .format import Format
from .spread import Spread


class LogContents(msgspec.Struct, frozen=True, kw_only=True):
    """Of an event log. ``wall_ns`` is the Unix time of its header, ``span_s`` the time from there to its end.

    ``live`` trajectories have no end in it. ``closed`` says that its writer closed it, ``torn`` that its last
    line is incomplete, ``lost`` how many events are known to be missing from ``gaps`` stretches. Tokens and
    preemptions are those of turns that ended; ``tools`` are seconds by name.
    """

    log: str
    attempts: list[int]
    version: int
    model: str
    policy: str
    wall_ns: int
    span_s: float
    closed: bool
    torn: bool
    lost: int
    gaps: int
    unreadable: list[tuple[int, str]]
    engine_ids: list[str]
    engines: list[EngineStarted]
    events: dict[str, int]
    groups: int
    trajectories: int
    finished: int
    failed: int
    live: int
    turns: int
    abandoned: int
    prompt: int
    cached: int
    generated: int
    preemptions: int
    generated_of_turn: Spread
    prompt_of_turn: Spread
    turns_of_trajectory: Spread
    tools: dict[str, Spread]
    format: Format = "headway"


class WorkloadContents(msgspec.Struct, frozen=True, kw_only=True):
    """Of a trace in a format of lengths and times. ``waits`` are seconds between turns."""

    trace: str
    format: Format
    groups: int
    trajectories: int
    turns: int
    generated: int
    system: int
    generated_of_turn: Spread
    prompt_of_turn: Spread
    turns_of_trajectory: Spread
    context_of_trajectory: Spread
    waits: Spread | None
    notes: str


def contents_of(workload: Workload, path: Path, format: Format, *, timed: bool) -> WorkloadContents:
    """Look at a workload; ``timed`` is false where its waits mean nothing."""
    scripts = list(_scripts(workload))
    turns = [turn for _, script in scripts for turn in script.turns]
    waits = [turn.tool_s for _, script in scripts for turn in script.turns[:-1]]
    prompts = [context for first, script in scripts for context, _ in script.contexts(first)]
    return WorkloadContents(
        trace=str(path),
        format=format,
        groups=len(workload.groups),
        trajectories=workload.trajectories,
        turns=len(turns),
        generated=workload.generated,
        system=workload.system,
        generated_of_turn=Spread.of([turn.generated for turn in turns]),
        prompt_of_turn=Spread.of(prompts),
        turns_of_trajectory=Spread.of([len(script.turns) for _, script in scripts]),
        context_of_trajectory=Spread.of([first + script.tokens for first, script in scripts]),
        waits=Spread.of(waits) if timed else None,
        notes=workload.notes,
    )


def _scripts(workload: Workload) -> Iterator[tuple[int, Script]]:
    """Every script, with the tokens of its whole prompt."""
    for group in workload.groups:
        for script in group.scripts:
            yield workload.system + group.prompt, script
