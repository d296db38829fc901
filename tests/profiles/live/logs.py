"""Event logs for tests: the events of a short run, and the file that a recorder would write of them."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from headway.profiles.event_log import EventLog, Header
from headway.scheduler import events as ev

SECOND = 10**9


def header(*, pid: int | None = None, wall_ns: int = 0, engines: Sequence[str] = ("a", "b")) -> Header:
    return Header(t=0, wall_ns=wall_ns, engines=list(engines), model="m", policy="headroom", pid=pid)


def written_now() -> Header:
    """The header of a log that this very process writes."""
    return header(pid=os.getpid(), wall_ns=time.time_ns())


def started(t: float, id: str = "x") -> ev.Event:
    return ev.TrajectoryStarted(t=ns(t), trajectory=id, group="g", task="t")


def ready(t: float, id: str = "x", turn: int = 0) -> ev.Event:
    return ev.TurnReady(t=ns(t), trajectory=id, turn=turn, context=10)


def held(t: float, reason: str, id: str = "x") -> ev.Event:
    return ev.TurnHeld(t=ns(t), trajectory=id, reason=reason)


def dispatched(t: float, engine: str = "a", id: str = "x", turn: int = 0) -> ev.Event:
    return ev.TurnDispatched(t=ns(t), trajectory=id, turn=turn, engine=engine, reason="new")


def ended(t: float, engine: str = "a", id: str = "x", turn: int = 0, generated: int = 100) -> ev.Event:
    return ev.TurnEnded(
        t=ns(t),
        trajectory=id,
        turn=turn,
        engine=engine,
        prompt=10,
        cached=0,
        generated=generated,
        preemptions=1,
        queue_s=0.0,
        first_token_s=0.1,
        first_version=0,
        last_version=0,
        finish="stop",
    )


def tool(t: float, until: float, id: str = "x", name: str = "python") -> list[ev.Event]:
    return [
        ev.ToolStarted(t=ns(t), trajectory=id, turn=0, tool=name),
        ev.ToolEnded(t=ns(until), trajectory=id, turn=0, tool=name, status="ok"),
    ]


def over(t: float, id: str = "x") -> ev.Event:
    return ev.TrajectoryEnded(t=ns(t), trajectory=id, status="finished", cause="answer", turns=1, tokens=110)


def short_run() -> list[ev.Event]:
    """Ten seconds of one trajectory: held for 1 s, on engine a for 4 s, in a tool for 3 s, on a for 1 s."""
    return [
        started(0),
        ready(0),
        held(0, "kv_full"),
        dispatched(1),
        ended(5),
        *tool(5, 8),
        ready(8, turn=1),
        dispatched(8, turn=1),
        ended(9, turn=1),
        over(10),
    ]


def write_log(
    path: Path, events: Sequence[ev.Event], *, close: bool = True, first: Header | None = None
) -> Path:
    """Write a log as a recorder does, and close it or leave it as a killed process would."""
    log = EventLog(path, first or header())
    for event in events:
        log.emit(event)
    if close:
        log.close()
    else:
        log.flush()
    return path


def ns(t: float) -> int:
    return round(t * SECOND)
