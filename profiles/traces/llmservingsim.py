"""The agentic workloads of LLMServingSim: one session a line, its calls in a chain with the tools between.

    {"session_id", "arrival_time_ns", "sub_requests": [CALL, ...]}
    CALL: {"input_toks", "output_toks", "tool_duration_ns"}

``input_toks`` is the whole prompt of a call and ``tool_duration_ns`` the time after it. A line that is a flat
request ({"input_toks", "output_toks", "arrival_time_ns"}) is a session of one call. More keys, such as token
ids, are ignored. A session becomes a group of one, which begins as long after the first as it arrived.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from headway.errors import InputError

from ..workload import ScriptedGroup, Workload
from .calls import Call, calls_of, script_of
from .lines import numbered_lines

_NS = 1_000_000_000
_Nanoseconds = Annotated[int, Meta(ge=0)]


class SubRequest(msgspec.Struct, frozen=True):
    """One call of the model."""

    input_toks: Annotated[int, Meta(ge=1)]
    output_toks: Annotated[int, Meta(ge=0)]
    tool_duration_ns: _Nanoseconds = 0


class Session(msgspec.Struct, frozen=True):
    """A line of the file."""

    session_id: str | int
    arrival_time_ns: _Nanoseconds
    sub_requests: Annotated[list[SubRequest], Meta(min_length=1)]


class _Flat(SubRequest, frozen=True, kw_only=True):
    arrival_time_ns: _Nanoseconds = 0


def read_llmservingsim(path: Path) -> Workload:
    """Read a file as a workload; raises ``InputError`` at its first line that does not fit."""
    sessions = [parse_session(line, f"{path}:{number}") for number, line in numbered_lines(path)]
    if not sessions:
        raise InputError(f"{path}: holds no session; write one JSON object a line")
    first = min(session.arrival_time_ns for session in sessions)
    scripts = [script_of(_calls(session)) for session in sessions]
    groups = [
        ScriptedGroup(s.sub_requests[0].input_toks, [script], delay_s=(s.arrival_time_ns - first) / _NS)
        for s, script in zip(sessions, scripts, strict=True)
    ]
    shrunk = sum(len(x.turns) < len(s.sub_requests) for x, s in zip(scripts, sessions, strict=True))
    return Workload(
        name=path.stem,
        groups=groups,
        max_context=max(group.prompt + group.scripts[0].tokens for group in groups),
        turn_limit=max(turn.generated for script in scripts for turn in script.turns),
        notes=(
            f"{len(sessions)} sessions of LLMServingSim ({path.name}) that begin when they arrived, whatever "
            f"has completed by then; {shrunk} end where their prompt shrinks; nothing known to be common to "
            "their prompts; no groups"
        ),
    )


def llmservingsim_of(workload: Workload, *, begun_s: Sequence[float] | None = None) -> Iterator[Session]:
    """A workload's trajectories as sessions; siblings arrive together.

    ``begun_s`` says when each group began. Without it a group that waits for others to complete cannot be
    given an arrival, and is an ``InputError``.
    """
    if begun_s is None:
        if any(group.after for group in workload.groups):
            raise InputError(
                f"workload {workload.name}: has groups that begin as others complete, and LLMServingSim "
                "knows arrivals only; export a recorded run, which has the times"
            )
        begun_s = [group.delay_s for group in workload.groups]
    for group, sibling, calls in calls_of(workload):
        yield Session(
            session_id=f"g{group + 1}.{sibling}",
            arrival_time_ns=round(begun_s[group] * _NS),
            sub_requests=[SubRequest(c.prompt, c.generated, round(c.wait_s * _NS)) for c in calls],
        )


def parse_session(line: bytes, place: str) -> Session:
    """Read one line; raises ``InputError`` that names ``place``."""
    try:
        if b'"sub_requests"' in line:
            return msgspec.json.decode(line, type=Session)
        flat = msgspec.json.decode(line, type=_Flat)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{place}: not a session of LLMServingSim: {error}") from error
    return Session(place, flat.arrival_time_ns, [flat])


def _calls(session: Session) -> list[Call]:
    return [
        Call(call.input_toks, call.output_toks, call.tool_duration_ns / _NS) for call in session.sub_requests
    ]
