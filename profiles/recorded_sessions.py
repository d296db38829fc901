"""Recorded sessions of real agents as a workload: one JSON object a line, lengths and times only.

    {"id", "tool_tokens", "system_tokens", "turns": [TURN, ...]}
    TURN: [t, in, out, prefix_hit, api_time, think_time, stop]

``in`` is the whole prompt of a request and ``think_time`` the seconds before it; more keys are ignored. A
session is a group of one. What had to be changed to make a batch of them is said in the workload's ``notes``,
which belong beside every figure. A line that does not fit is an ``InputError`` with its number.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from headway.engine.simulated.hardware import Hardware
from headway.errors import InputError

from .pressure import closest, full_step_s
from .suites import check_fits
from .workload import Script, ScriptedGroup, ScriptedTurn, Workload

TooLong = Literal["cut", "scale"]
_LEAST_TURNS = 2


class _Turn(msgspec.Struct, array_like=True):
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
    turns: list[_Turn]

    @property
    def system(self) -> int:
        """Tokens at the start of every prompt that sessions of the same agent share."""
        return self.tool_tokens + self.system_tokens

    @property
    def longest(self) -> int:
        """Tokens of the longest context."""
        return max(turn.prompt + turn.generated for turn in self.turns)


def read_sessions(path: Path) -> list[Session]:
    """Read a file of sessions; raises ``InputError`` at its first unusable line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot read the recorded sessions: {error.strerror}") from error
    sessions = [_parse(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not sessions:
        raise InputError(f"{path}: holds no session; write one JSON object a line")
    return sessions


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

    Waits are clipped to ``clip_s``. A session that outgrows ``max_context`` (default: what an engine can
    hold) ends there, or with ``too_long="scale"`` all of it shrinks; one whose prompt shrinks (the agent
    compacted its context) ends at that turn.
    """
    kv_tokens = kv_tokens or hardware.kv_tokens
    limit = max_context or min(kv_tokens, hardware.max_context)
    check_fits(f"{path}", limit, hardware, kv_tokens)
    sessions = read_sessions(path)
    usable = [s for s in (_Importer(clip_s, limit, too_long, turn_limit).take(s) for s in sessions) if s]
    if not usable:
        raise InputError(f"{path}: no session has two turns within {limit} tokens; raise the longest context")
    system = min(session.system for session in usable)
    source = _drawn(usable, system, random.Random(f"recorded {seed}"))
    wanted = (pressure * kv_tokens - system) * engines
    taken = (
        closest(source, wanted=wanted, token_s=full_step_s(hardware, kv_tokens))
        if groups is None
        else [next(source) for _ in range(groups)]
    )
    how = f"cut at {limit} tokens" if too_long == "cut" else f"longer ones scaled to {limit} tokens"
    repeated = f", some taken again ({len(taken)} drawn)" if len(taken) > len(usable) else ""
    return Workload(
        name="trace",
        groups=taken,
        max_context=limit,
        turn_limit=turn_limit,
        system=system,
        notes=(
            f"recorded sessions ({path.name}): {len(usable)} of {len(sessions)} usable{repeated}; "
            f"waits include people, clipped to {clip_s:g} s; contexts {how}, and where the agent compacted "
            f"them; turns cut to {turn_limit} tokens; {system} system tokens taken as common to all; "
            "no groups, no sub-agents"
        ),
    )


class _Usable(msgspec.Struct, frozen=True):
    system: int
    first_prompt: int
    script: Script


class _Importer:
    """Turns a session into a script."""

    def __init__(self, clip_s: float, limit: int, too_long: TooLong, turn_limit: int) -> None:
        self._clip_s = clip_s
        self._limit = limit
        self._too_long = too_long
        self._turn_limit = turn_limit

    def take(self, session: Session) -> _Usable | None:
        """Return what fits of a session; None for one that leaves less than two turns."""
        scale = 1.0
        if self._too_long == "scale" and session.longest > self._limit:
            scale = self._limit * 0.98 / session.longest  # every count is rounded up
        first = max(round(session.turns[0].prompt * scale), 1)
        script = Script(list(self._turns(session.turns, scale, first)))
        if len(script.turns) < _LEAST_TURNS:
            return None
        return _Usable(min(round(session.system * scale), first - 1), first, script)

    def _turns(self, turns: list[_Turn], scale: float, context: int) -> Iterator[ScriptedTurn]:
        """Yield the turns until the context would outgrow the limit or was compacted."""
        kept: ScriptedTurn | None = None
        for turn, after in zip(turns, [*turns[1:], None], strict=True):
            generated = max(min(round(turn.generated * scale), self._turn_limit), 1)
            if context + generated > self._limit:
                break
            if kept is not None:
                yield kept
            compacted = after is None or after.prompt < turn.prompt
            observed = 0 if after is None else max(round(after.prompt * scale) - context - generated, 1)
            wait_s = 0.0 if after is None else min(max(after.think_s, 0.0), self._clip_s)
            kept = ScriptedTurn(generated, wait_s, observed)
            context += generated + observed
            if compacted:
                break
        if kept is not None:
            yield ScriptedTurn(kept.generated)


def _drawn(sessions: list[_Usable], system: int, rng: random.Random) -> Iterator[ScriptedGroup]:
    """Yield all sessions in a random order, then again."""
    while True:
        for session in rng.sample(sessions, len(sessions)):
            yield ScriptedGroup(session.first_prompt - system, [session.script])


def _parse(line: bytes, place: str) -> Session:
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
