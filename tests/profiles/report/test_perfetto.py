"""The trace as the official protocol buffers read it; test_browser.py opens one in Perfetto itself."""

import sqlite3
from pathlib import Path

import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

from headway.errors import HeadwayError, InputError
from headway.profiles.report.perfetto import write_perfetto
from headway.scheduler import events as ev
from tests.profiles.report.made_up import ended, made_up_run, profiled, record

ENGINES = ["engine-0", "engine-1"]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return record(folder / "events.jsonl", made_up_run(40, engines=ENGINES), engines=ENGINES)


@pytest.fixture(scope="module")
def trace(log: Path) -> sqlite3.Connection:
    return tables(written(log))


def written(log: Path) -> Path:
    path = log.with_suffix(".pftrace")
    write_perfetto(path, log)
    return path


def tables(path: Path) -> sqlite3.Connection:
    """Tables track, slice, instant, counter and flow of a trace."""
    db = sqlite3.connect(":memory:")
    db.executescript(
        "create table track (id, name, parent); create table slice (track, name, ts, dur);"
        "create table instant (track, name, ts, who); create table counter (track, ts, value);"
        "create table flow (id, track, ts, ends);"
    )
    stacks: dict[int, list[tuple[str, int]]] = {}
    packets = sorted(Trace.FromString(path.read_bytes()).packet, key=lambda packet: packet.timestamp)
    for packet in packets:
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            db.execute("insert into track values (?, ?, ?)", (track.uuid, track.name, track.parent_uuid))
        elif packet.HasField("track_event"):
            put_event(db, stacks, packet.timestamp, packet.track_event)
    assert not any(stacks.values())
    return db


def put_event(
    db: sqlite3.Connection, stacks: dict[int, list[tuple[str, int]]], t: int, event: TrackEvent
) -> None:
    track = event.track_uuid
    match event.type:
        case TrackEvent.TYPE_SLICE_BEGIN:
            stacks.setdefault(track, []).append((event.name, t))
            for ends, ids in ((False, event.flow_ids), (True, event.terminating_flow_ids)):
                db.executemany("insert into flow values (?, ?, ?, ?)", [(id, track, t, ends) for id in ids])
        case TrackEvent.TYPE_SLICE_END:
            name, start = stacks[track].pop()
            db.execute("insert into slice values (?, ?, ?, ?)", (track, name, start, t - start))
        case TrackEvent.TYPE_INSTANT:
            who = event.debug_annotations[0].string_value if event.debug_annotations else None
            db.execute("insert into instant values (?, ?, ?, ?)", (track, event.name, t, who))
        case TrackEvent.TYPE_COUNTER:
            db.execute("insert into counter values (?, ?, ?)", (track, t, event.double_counter_value))


def test_the_slices_of_each_engine_sum_to_its_causes_exactly(log: Path, trace: sqlite3.Connection) -> None:
    profile, _ = profiled(log)
    spent: dict[str, dict[str, int]] = {}
    for engine, cause, ns in trace.execute(
        "select g.name, s.name, sum(s.dur) from slice s join track t on s.track = t.id "
        "join track g on t.parent = g.id where t.name = 'cause' group by 1, 2"
    ):
        spent.setdefault(engine, {})[cause] = ns
    assert spent == {engine.id: engine.causes for engine in profile.engines}


def test_every_decision_is_a_mark_with_its_reason_and_who_it_is_about(
    log: Path, trace: sqlite3.Connection
) -> None:
    profile, _ = profiled(log)
    (dispatches,) = trace.execute("select count(*) from instant where name = 'dispatch: new'").fetchone()
    assert dispatches == profile.turns
    (held,) = trace.execute("select count(*) from instant where name = 'held: kv_full'").fetchone()
    assert 0 < held < dispatches
    assert not trace.execute("select * from instant where name like '%:%' and who is null").fetchall()


def test_decisions_of_one_moment_that_are_alike_are_one_mark(tmp_path: Path) -> None:
    events: list[ev.Event] = []
    for id in ("x", "y"):
        events.append(ev.TrajectoryStarted(t=1, trajectory=id, group="g", task="t"))
        events.append(ev.TurnDispatched(t=1, trajectory=id, turn=0, engine="engine-0", reason="new"))
    db = tables(written(record(tmp_path / "events.jsonl", events, engines=ENGINES)))
    assert db.execute("select name, ts, who from instant").fetchall() == [("dispatch: new", 1, "x, y")]


def test_an_engine_has_its_counters_and_its_gpus(trace: sqlite3.Connection) -> None:
    names = trace.execute(
        "select t.name, count(*), min(value), max(value) from counter c join track t on c.track = t.id "
        "join track g on t.parent = g.id where g.name = 'engine-0' group by 1"
    ).fetchall()
    counters = {name: (count, low, high) for name, count, low, high in names}
    assert set(counters) == {"KV %", "running", "queued", "SM %, gpu of engine-0", "power W, gpu of engine-0"}
    assert counters["KV %"][0] == 100
    assert 0 <= counters["KV %"][1] < counters["KV %"][2] <= 100
    assert counters["power W, gpu of engine-0"][1:] == (300, 300)


def test_states_weights_and_phases_are_there(trace: sqlite3.Connection) -> None:
    def names(track: str) -> list[str]:
        found = trace.execute(
            "select distinct s.name from slice s join track t on s.track = t.id where t.name = ? "
            "union select i.name from instant i join track t on i.track = t.id where t.name = ?",
            (track, track),
        )
        return [name for (name,) in found]

    assert names("state") == ["ready", "weight_sync"]
    assert names("phase") == ["rollout", "training"]
    assert names("weights") == ["version 0", "version 1"]
    assert set(names("stage")) >= {"steady", "drain"}


def test_the_slowest_trajectories_are_tracks_whose_slices_are_their_lives(
    log: Path, trace: sqlite3.Connection
) -> None:
    slowest = profiled(log)[0].slowest[0]
    spent = dict(
        trace.execute(
            "select s.name, sum(dur) from slice s join track t on s.track = t.id "
            "join track g on t.parent = g.id "
            "where g.name = 'slowest trajectories' and t.name in (?, ?) group by 1",
            (slowest.id, f"{slowest.id} tools"),
        )
    )
    assert spent["kv_full"] == slowest.spent["kv_full"]
    assert spent["python"] == slowest.spent["tool:python"]
    turns = sum(ns for name, ns in spent.items() if name.startswith("turn "))
    assert turns == slowest.spent["generating"] + slowest.spent["engine_queue"]
    assert spent["queue"] + spent["prefill"] + spent["decode"] == turns


def test_an_arrow_leads_from_each_turn_to_the_next_on_whatever_engine(tmp_path: Path) -> None:
    events: list[ev.Event] = [ev.TrajectoryStarted(t=0, trajectory="x", group="g", task="t")]
    for turn, engine in enumerate(["engine-0", "engine-1", "engine-1"]):
        t = 100 * turn
        events.append(ev.TurnReady(t=t + 1, trajectory="x", turn=turn, context=1))
        events.append(ev.TurnDispatched(t=t + 2, trajectory="x", turn=turn, engine=engine, reason="new"))
        events.append(ended(t + 90, "x", turn, engine, 10))
    db = tables(written(record(tmp_path / "events.jsonl", events, engines=ENGINES)))
    arrows = db.execute(
        "select a.name, b.name, f.ts, g.ts from flow f join flow g on f.id = g.id and g.ends and not f.ends "
        "join track t on f.track = t.id join track u on g.track = u.id "
        "join track a on t.parent = a.id join track b on u.parent = b.id order by f.ts"
    ).fetchall()
    assert arrows == [("engine-0", "engine-1", 2, 102), ("engine-1", "engine-1", 102, 202)]


def test_tools_side_by_side_do_not_cut_each_other_off(tmp_path: Path) -> None:
    events: list[ev.Event] = [ev.TrajectoryStarted(t=0, trajectory="x", group="g", task="t")]
    events += [ev.ToolStarted(t=t, trajectory="x", turn=0, tool=tool) for t, tool in ((1, "p"), (2, "q"))]
    for t, tool in ((5, "p"), (9, "q")):
        events.append(ev.ToolEnded(t=t, trajectory="x", turn=0, tool=tool, status="ok"))
    db = tables(written(record(tmp_path / "events.jsonl", events, engines=ENGINES)))
    found = db.execute(
        "select s.name, ts, dur from slice s join track t on s.track = t.id "
        "where t.name = 'x tools' order by 2"
    ).fetchall()
    assert found == [("p", 1, 4), ("q", 2, 7)]


def test_a_file_that_cannot_be_written_and_a_log_that_is_none_are_said(log: Path, tmp_path: Path) -> None:
    with pytest.raises(HeadwayError, match="cannot write: No such file or directory"):
        write_perfetto(tmp_path / "nowhere" / "run.pftrace", log)
    with pytest.raises(HeadwayError, match="cannot write: No space left on device"):
        write_perfetto(Path("/dev/full"), log)
    (tmp_path / "other").write_text("{}\n")
    with pytest.raises(InputError, match="not the header of an event log"):
        write_perfetto(tmp_path / "out", tmp_path / "other")
    assert not (tmp_path / "out").exists()
