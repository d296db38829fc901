"""Event logs to read: of workloads that were played on simulated engines, and of events that a test wrote."""

from collections.abc import Iterable
from pathlib import Path

from headway.engine.simulated import SimulatedEngine
from headway.profiles.closed_loop import play
from headway.profiles.event_log import EventLog, Header
from headway.profiles.loop_result import Result
from headway.profiles.virtual_time import run_virtual
from headway.profiles.workload import Script, ScriptedGroup, ScriptedTurn, Workload
from headway.scheduler import events as ev
from headway.scheduler import make_policy
from tests.profiles.test_closed_loop import HARDWARE

ENGINES = ["e0", "e1"]
LONG = Script([ScriptedTurn(30, 0.5, 40), ScriptedTurn(7, 0.25, 3), ScriptedTurn(50)])
SHORT = Script([ScriptedTurn(12, 2.0, 90), ScriptedTurn(1)])
WORKLOAD = Workload(
    name="events",
    groups=[ScriptedGroup(100, [LONG, SHORT, LONG]), ScriptedGroup(60, [SHORT, SHORT])],
    max_context=1024,
    turn_limit=64,
)


def header(t: int = 0) -> Header:
    return Header(t=t, wall_ns=0, engines=ENGINES, model="m", policy="headroom")


def record(path: Path, workload: Workload = WORKLOAD, policy: str = "headroom") -> Result:
    """Play a workload, and leave its log."""
    log = EventLog(path, header())
    fleet = [SimulatedEngine(HARDWARE, id=id) for id in ENGINES]
    result = run_virtual(play(workload, fleet, make_policy(policy), sink=log))
    log.close()
    return result


def write(path: Path, events: Iterable[ev.Event], *, close: bool = True) -> Path:
    """Write these events."""
    log = EventLog(path, header())
    for event in events:
        log.emit(event)
    log.close() if close else log.flush()
    return path


def start(t: int, id: str) -> ev.TrajectoryStarted:
    return ev.TrajectoryStarted(t=t, trajectory=id, group=id.partition(".")[0], task="t")


def ready(t: int, id: str, turn: int, context: int, blocks: Iterable[str] = ()) -> ev.TurnReady:
    return ev.TurnReady(t=t, trajectory=id, turn=turn, context=context, blocks=list(blocks))


def dispatched(t: int, id: str, turn: int, engine: str = "e0") -> ev.TurnDispatched:
    return ev.TurnDispatched(t=t, trajectory=id, turn=turn, engine=engine, reason="room")


def ended(t: int, id: str, turn: int, prompt: int, generated: int, engine: str = "e0") -> ev.TurnEnded:
    return ev.TurnEnded(
        t=t,
        trajectory=id,
        turn=turn,
        engine=engine,
        prompt=prompt,
        cached=0,
        generated=generated,
        preemptions=0,
        queue_s=0.0,
        first_token_s=0.0,
        first_version=0,
        last_version=0,
        finish="stop",
    )


def end(t: int, id: str, *, turns: int = 1, failed: bool = False) -> ev.TrajectoryEnded:
    status = "failed" if failed else "finished"
    return ev.TrajectoryEnded(t=t, trajectory=id, status=status, cause="", turns=turns, tokens=0)


def life(
    begin: int, id: str, *, prompt: int, generated: int = 5, blocks: Iterable[str] = ()
) -> list[ev.Event]:
    """A trajectory of one turn that takes 10 ns and begins 1 ns after it."""
    return [
        start(begin, id),
        ready(begin + 1, id, 0, prompt, blocks),
        dispatched(begin + 1, id, 0),
        ended(begin + 11, id, 0, prompt, 5),
        end(begin + 12, id),
    ]
