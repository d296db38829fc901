"""A run that headway recorded, as a workload: its event log, or its run folder.

A trajectory's prompt is the context of its first turn; a turn generates what it did; what the next one's
context has gained is observed; the time from a turn's end until the next is ready, tools and agent together,
is the tool's. A group begins when it did, seen from the group that completed last before it.
Trajectories that cannot be played whole are left out and counted in the notes.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from headway.errors import InputError
from headway.scheduler.block_names import BLOCK

from ..event_log import Reader
from ..run_logs import event_log, event_logs
from ..workload import Script, ScriptedGroup, Workload
from .begins import Begin, Clan, begins_of, clans_of
from .calls import Call, script_of
from .recorded import Recorded
from .trajectories import Trajectories, Trajectory


def read_run(path: Path, *, attempt: int | None = None) -> tuple[Workload, Recorded]:
    """Read a run, of a folder its last attempt unless told otherwise.

    Raises ``InputError`` where no trajectory of it can be played.
    """
    log = event_log(path, attempt)
    reader = Reader(log)
    found = Trajectories()
    for event in reader:
        found.emit(event)
    kept = [each for each in found.all.values() if each.end is not None and each.turns and not each.damaged]
    if not kept:
        raise InputError(f"{log}: nothing to play: {_left_out(found) or 'no trajectory has begun'}")
    clans = clans_of(kept)
    begins = begins_of(clans, found.all.values())
    workload = _workload(_name(path), found, clans, begins)
    said = [_attempt(path, log), *_notes(found, clans, workload), _left_out(found), *_missing(reader)]
    recorded = _recorded(reader, found, kept, begun_s=[begin.since_first_s for begin in begins])
    return msgspec.structs.replace(workload, notes="; ".join(filter(None, said))), recorded


def _recorded(
    reader: Reader, found: Trajectories, kept: list[Trajectory], *, begun_s: list[float]
) -> Recorded:
    turns = [turn for each in kept for turn in each.turns]
    return Recorded(
        log=str(reader.path),
        model=reader.header.model,
        policy=reader.header.policy,
        engine_ids=list(dict.fromkeys([*reader.header.engines, *found.engine_ids])),
        engines=list(found.engines.values()),
        trajectories=len(kept),
        turns=len(turns),
        generated=sum(turn.generated for turn in turns),
        prompt=sum(turn.context for turn in turns),
        cached=sum(turn.cached for turn in turns),
        preemptions=sum(turn.preemptions for turn in turns),
        makespan_s=_seconds(kept[0].start, max(each.end or 0 for each in kept)),
        last_turn_s=_seconds(kept[0].start, max(turn.ended for turn in turns)),
        begun_s=begun_s,
    )


def _workload(name: str, found: Trajectories, clans: list[Clan], begins: list[Begin]) -> Workload:
    prompts = [clan[0].turns[0].context for clan in clans]
    several = len({clan[0].group for clan in clans}) > 1  # one group has nothing to share
    common = len(found.common_blocks or []) * BLOCK if several else 0
    system = min(common, min(prompts) - 1)
    groups = [
        ScriptedGroup(prompt - system, [_script(each) for each in clan], begin.after, begin.delay_s)
        for prompt, clan, begin in zip(prompts, clans, begins, strict=True)
    ]
    longest = max(system + group.prompt + script.tokens for group in groups for script in group.scripts)
    allowed = min((engine.max_context for engine in found.engines.values()), default=0)
    return Workload(
        name=name,
        groups=groups,
        max_context=max(longest, allowed),
        turn_limit=max(
            found.turn_limit,
            *(turn.generated for group in groups for script in group.scripts for turn in script.turns),
        ),
        system=system,
    )


def _script(trajectory: Trajectory) -> Script:
    calls = [
        Call(turn.context, turn.generated, _seconds(turn.ended, after.ready) if after else 0.0)
        for turn, after in zip(trajectory.turns, [*trajectory.turns[1:], None], strict=True)
    ]
    return script_of(calls)


def _notes(found: Trajectories, clans: list[Clan], workload: Workload) -> Iterator[str]:
    """What to know of a replay."""
    yield "tools and agents take the time that they took; what follows a last turn (its reward) is left out"
    if not found.turn_limit:
        yield "the turn limit is the longest turn that was recorded"
    if found.weights_changed:
        yield "new weights are not replayed: the time that they took is part of what came after"
    if not workload.system and not found.common_blocks:
        yield "nothing recorded as common to the prompts of different groups"
    if apart := len(clans) - len({clan[0].group for clan in clans}):
        yield f"groups split off since siblings had prompts of other lengths: {apart}"
    if later := sum(each.first_turn != 0 for clan in clans for each in clan):
        yield f"trajectories that go on from an earlier attempt, with what they had as their prompt: {later}"
    scripts = [script for group in workload.groups for script in group.scripts]
    taken = [each for clan in clans for each in clan]
    if shrunk := sum(len(s.turns) < len(each.turns) for s, each in zip(scripts, taken, strict=True)):
        yield f"trajectories that end where their agent shortened the context: {shrunk}"


def _name(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.name.partition(".")[0]


def _missing(reader: Reader) -> Iterator[str]:
    """What is wrong with the log."""
    if reader.torn:
        yield "the last line of the log is incomplete"
    if reader.lost:
        yield f"events known to be missing: {reader.lost}"


def _attempt(path: Path, log: Path) -> str:
    """Which attempt it is, where that is a choice."""
    logs = event_logs(path) if path.is_dir() else {}
    number = next((number for number, file in logs.items() if file == log), 0)
    return f"attempt {number} of {len(logs)} of {path.name}" if len(logs) > 1 else ""


def _left_out(found: Trajectories) -> str:
    """How many trajectories cannot be played, by why."""
    reasons = Counter(_why_not(each) for each in found.all.values())
    said = [f"{reason} ({count})" for reason, count in reasons.items() if reason]
    return f"left out: {', '.join(said)}" if said else ""


def _why_not(trajectory: Trajectory) -> str:
    if trajectory.damaged:
        return "trajectories of which events are lost"
    if trajectory.end is None:
        return "trajectories without an end"
    return "" if trajectory.turns else "trajectories that ended before a turn of theirs did"


def _seconds(start: int, end: int) -> float:
    return (end - start) / 1e9
