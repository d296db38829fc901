"""Recorded sessions of real agents: one JSON object a line, lengths and times only.

    {"id", "tool_tokens", "system_tokens", "turns": [TURN, ...]}
    TURN: [t, in, out, prefix_hit, api_time, think_time, stop]

``in`` is the whole prompt of a request and ``think_time`` the seconds before it; more keys are ignored. A
session becomes a group of one. A line that does not fit is an ``InputError`` with its number.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from headway.engine.simulated.hardware import Hardware
from headway.errors import InputError

from ..suites import check_fits
from ..workload import ScriptedGroup, Workload
from .calls import Call, calls_of, script_of
from .draw import drawn
from .limits import limited
from .lines import numbered_lines
from .options import TooLong, TraceOptions

_LEAST_TURNS = 2
_BLOCK = 64  # tokens; a prefix counts in whole blocks


class Turn(msgspec.Struct, array_like=True):
    """One request of a session."""

    t: float
    prompt: int
    generated: int
    prefix_hit: int = 0
    api_s: float = 0.0
    think_s: float = 0.0
    stop: str = ""


class Session(msgspec.Struct):
    """A line of the file."""

    id: str
    tool_tokens: int
    system_tokens: int
    turns: list[Turn]

    @property
    def system(self) -> int:
        """Tokens at the start of every prompt that sessions of the same agent share."""
        return self.tool_tokens + self.system_tokens


def read_sessions(path: Path, *, turn_limit: int | None = None) -> Workload:
    """Read a file of sessions as a workload that holds each of them once, as long as it was recorded.

    Of turns longer than ``turn_limit`` the rest counts as observed, as far as the next prompt has it.
    """
    sessions = [parse_session(line, f"{path}:{number}") for number, line in numbered_lines(path)]
    if not sessions:
        raise InputError(f"{path}: holds no session; write one JSON object a line")
    system = min(min(session.system, session.turns[0].prompt - 1) for session in sessions)
    scripts = [script_of(_calls(session.turns, turn_limit), least_observed=1) for session in sessions]
    groups = [
        ScriptedGroup(session.turns[0].prompt - system, [script])
        for session, script in zip(sessions, scripts, strict=True)
    ]
    compacted = sum(len(x.turns) < len(s.turns) for x, s in zip(scripts, sessions, strict=True))
    cut = f"; turns cut to {turn_limit} tokens" if turn_limit else ""
    return Workload(
        name=path.stem,
        groups=groups,
        max_context=max(system + group.prompt + group.scripts[0].tokens for group in groups),
        turn_limit=max(turn.generated for script in scripts for turn in script.turns),
        system=system,
        notes=(
            f"{len(sessions)} recorded sessions ({path.name}); waits include people; {system} system tokens "
            f"taken as common to all; {compacted} end where their agent compacted the context{cut}; no "
            "groups, no sub-agents, all begun at once"
        ),
    )


def load_recorded(
    path: Path,
    *,
    seed: int,
    hardware: Hardware,
    engines: int,
    kv_tokens: int | None = None,
    pressure: float = 1.0,
    groups: int | None = None,
    clip_s: float = 60.0,
    max_context: int | None = None,
    too_long: TooLong = "cut",
    turn_limit: int = 8192,
) -> Workload:
    """Make a workload of as many sessions, drawn by ``seed``, as come closest to ``pressure``; or of
    ``groups``.

    A session that outgrows ``max_context`` (default: what an engine can hold) ends there, or with
    ``too_long="scale"`` all of it shrinks. Those that leave less than two turns are not drawn.
    """
    kv_tokens = kv_tokens or hardware.kv_tokens
    limit = max_context or min(kv_tokens, hardware.max_context)
    check_fits(f"{path}", limit, hardware, kv_tokens)
    sessions = read_sessions(path, turn_limit=turn_limit)
    options = TraceOptions(clip_s=clip_s, max_context=limit, too_long=too_long, turn_limit=turn_limit)
    fitting, _ = limited(sessions, options)
    usable = [group for group in fitting.groups if len(group.scripts[0].turns) >= _LEAST_TURNS]
    if not usable:
        raise InputError(f"{path}: no session has two turns within {limit} tokens; raise the longest context")
    return drawn(
        msgspec.structs.replace(
            fitting,
            name="trace",
            groups=usable,
            notes=f"{fitting.notes}; {len(usable)} of {len(sessions.groups)} usable",
        ),
        pressure=pressure,
        hardware=hardware,
        engines=engines,
        kv_tokens=kv_tokens,
        seed=seed,
        groups=groups,
    )


def sessions_of(workload: Workload) -> Iterator[Session]:
    """A workload's trajectories as sessions; which of them are siblings, only their ids ``g1.0`` say.

    A request's server time is not known, so that ``t`` is the time that has passed in tools.
    """
    for group, sibling, calls in calls_of(workload):
        turns: list[Turn] = []
        t = think_s = 0.0
        hit = 0
        for call in calls:
            t += think_s
            turns.append(Turn(t, call.prompt, call.generated, hit, 0.0, think_s, "tool_use"))
            hit, think_s = call.prompt // _BLOCK * _BLOCK, call.wait_s
        turns[-1].stop = "end_turn"
        yield Session(f"g{group + 1}.{sibling}", 0, workload.system, turns)


def parse_session(line: bytes, place: str) -> Session:
    """Read one line; raises ``InputError`` that names ``place``."""
    try:
        session = msgspec.json.decode(line, type=Session)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{place}: not a recorded session: {error}") from error
    if not session.turns:
        raise InputError(f"{place}: session {session.id} has no turns")
    if session.tool_tokens < 0 or session.system_tokens < 0:
        raise InputError(f"{place}: session {session.id} has a system prompt of negative length")
    if any(turn.prompt < 1 or turn.generated < 0 for turn in session.turns):
        raise InputError(f"{place}: session {session.id} has a turn without a prompt, or of negative length")
    return session


def _calls(turns: list[Turn], turn_limit: int | None) -> list[Call]:
    """What comes before a request is what comes after the one before it."""
    return [
        Call(
            turn.prompt,
            min(turn.generated, turn_limit or turn.generated),
            after.think_s if after is not None else 0.0,
        )
        for turn, after in zip(turns, [*turns[1:], None], strict=True)
    ]
