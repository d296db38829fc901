"""Runs that never were: any number of trajectories on any number of engines, by a seed."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from headway.jsonl import JsonLines
from headway.profiles.event_log import Header, Reader
from headway.profiles.gpu.sample import GpuSample
from headway.profiles.log_records import Mark
from headway.profiles.profile import Profile
from headway.profiles.profiler import profile_log
from headway.profiles.timeline import Timeline
from headway.scheduler import events as ev

S = 1_000_000_000
END = 3600 * S  # all is over by then


def made_up_run(
    trajectories: int,
    *,
    engines: Sequence[str],
    seed: int = 0,
    turns: int = 5,
    tool: str = "python",
    ids: str = "g{group}.{sibling}",
) -> list[ev.Event]:
    """Events in order of time; about half of all turns are held back for a while."""
    rng = random.Random(seed)
    events = [*_engine_events(rng, engines)]
    for number in range(trajectories):
        id = ids.format(group=number // 8, sibling=number % 8)
        start = round(rng.random() * END / 2)
        events += _life(rng, id, f"g{number // 8}", start, engines, turns, tool)
    events.sort(key=lambda event: event.t)
    return events


def record(path: Path, events: Sequence[ev.Event], *, engines: Sequence[str], name: str = "made-up") -> Path:
    """An event log of them, which was closed with the last of them."""
    lines = JsonLines(path)
    lines.add(Header(t=0, wall_ns=0, engines=list(engines), model=name, policy="headroom"))
    for event in events:
        lines.add(event)
    lines.add(Mark(t=events[-1].t if events else 0, events=len(events), last=True))
    lines.close()
    return path


def profiled(log: Path) -> tuple[Profile, Timeline]:
    """The profile and the timeline of a log."""
    header = Reader(log).header
    timeline = Timeline(header.engines, header.t)
    profile = profile_log(log, on_interval=timeline.on_interval, sinks=[timeline])
    timeline.finish(header.t + profile.wall_ns)
    return profile, timeline


def _engine_events(rng: random.Random, engines: Sequence[str]) -> Iterator[ev.Event]:
    yield ev.PhaseChanged(t=0, phase="rollout", step=1)
    yield ev.PhaseChanged(t=END * 3 // 4, phase="training", step=1)
    for engine in engines:
        yield ev.EngineStarted(
            t=0,
            engine=engine,
            kind="simulated",
            version="1",
            device="none",
            kv_tokens=10_000,
            block_size=16,
            max_context=8192,
            gpus=[f"gpu of {engine}"],
        )
        yield ev.EngineChanged(t=0, engine=engine, state="ready", weight_version=0)
        yield ev.EngineChanged(t=END * 4 // 5, engine=engine, state="weight_sync")
        yield ev.EngineChanged(t=END, engine=engine, state="ready", weight_version=1)
        for t in range(0, END, END // 100):
            yield ev.EngineLoad(t=t, engine=engine, running=5, waiting=0, kv_usage=rng.random())
            yield GpuSample(t=t, gpu=f"gpu of {engine}", span_ns=S, sm=rng.random(), power_w=300.0)


def _life(
    rng: random.Random, id: str, group: str, t: int, engines: Sequence[str], turns: int, tool: str
) -> Iterator[ev.Event]:
    def later(most: int) -> int:
        nonlocal t
        t += round(rng.random() * most * S)
        return t

    yield ev.TrajectoryStarted(t=t, trajectory=id, group=group, task=group)
    context = 500
    for turn in range(turns):
        yield ev.TurnReady(t=later(1), trajectory=id, turn=turn, context=context)
        if rng.random() < 0.5:
            yield ev.TurnHeld(t=t, trajectory=id, reason="kv_full")
            later(40)
        engine = rng.choice(engines)
        yield ev.TurnDispatched(t=t, trajectory=id, turn=turn, engine=engine, reason="new")
        yield ended(later(60), id, turn, engine, context, generated=rng.randrange(8, 4000))
        context += 700
        if turn + 1 < turns:
            yield ev.ToolStarted(t=t, trajectory=id, turn=turn, tool=tool)
            yield ev.ToolEnded(t=later(20), trajectory=id, turn=turn, tool=tool, status="ok")
    reward = float(rng.random() < 0.5)
    yield ev.TrajectoryEnded(
        t=later(1),
        trajectory=id,
        status="finished",
        cause="answer",
        turns=turns,
        tokens=context,
        reward=reward,
    )


def ended(t: int, id: str, turn: int, engine: str, prompt: int, *, generated: int = 100) -> ev.Event:
    """The end of a turn that waited 2 ns in its engine, and whose first token took 5."""
    return ev.TurnEnded(
        t=t,
        trajectory=id,
        turn=turn,
        engine=engine,
        prompt=prompt,
        cached=prompt // 2,
        generated=generated,
        preemptions=0,
        queue_s=2e-9,
        first_token_s=5e-9,
        first_version=0,
        last_version=0,
        finish="stop",
    )
