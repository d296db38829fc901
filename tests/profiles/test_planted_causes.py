"""Runs on real engines in each of which one thing is wrong: the profile of their record names it first."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from headway.engine import Fleet
from headway.profiles.closed_loop import play
from headway.profiles.event_log import EventLog, Header
from headway.profiles.profile import Finding, Profile
from headway.profiles.profiler import profile_log
from headway.profiles.workload import Script, ScriptedGroup, ScriptedTurn, Workload
from headway.scheduler import make_policy
from headway.scheduler.events import now_ns
from headway.scheduler.pulse import Pulse

pytestmark = [pytest.mark.vllm, pytest.mark.asyncio(loop_scope="session")]

Wrong = Callable[[Fleet], AbstractAsyncContextManager[None]]


def workload(*scripts: list[ScriptedTurn], prompt: int = 50) -> Workload:
    groups = [ScriptedGroup(prompt, [Script(turns)]) for turns in scripts]
    longest = max(turn.generated for turns in scripts for turn in turns)
    return Workload(name="planted", groups=groups, max_context=1000, turn_limit=longest)


@contextlib.asynccontextmanager
async def nothing(fleet: Fleet) -> AsyncIterator[None]:
    yield


@contextlib.asynccontextmanager
async def slow_engine(fleet: Fleet) -> AsyncIterator[None]:
    """The second engine is stopped most of the time, a moment at a time."""
    group = fleet.engines[1].pid

    async def hold_up() -> None:
        while True:
            os.killpg(group, signal.SIGSTOP)
            await asyncio.sleep(0.08)
            os.killpg(group, signal.SIGCONT)
            await asyncio.sleep(0.02)

    holder = asyncio.create_task(hold_up())
    try:
        yield
    finally:
        holder.cancel()
        os.killpg(group, signal.SIGCONT)


@contextlib.asynccontextmanager
async def paused_engine(fleet: Fleet) -> AsyncIterator[None]:
    """The first engine takes no step for as long as a few stalls take to be noticed."""
    await fleet.engines[0].pause()
    resume = asyncio.get_running_loop().call_later(7, lambda: resumed.set())
    resumed = asyncio.Event()

    async def go_on() -> None:
        await resumed.wait()
        await fleet.engines[0].resume()

    going_on = asyncio.create_task(go_on())
    try:
        yield
    finally:
        resume.cancel()
        resumed.set()
        await going_on


async def profiled(fleet: Fleet, folder: Path, work: Workload, wrong: Wrong = nothing) -> Profile:
    log = EventLog(
        folder / "events.jsonl",
        Header(
            t=now_ns(),
            wall_ns=0,
            engines=[engine.info.id for engine in fleet.engines],
            model="tiny",
            policy="headroom",
        ),
    )
    pulse = Pulse(log)
    async with wrong(fleet), pulse.watching(fleet.engines, every_s=0.25):
        await play(work, fleet.engines, make_policy("headroom"), sink=pulse, limit_s=120)
    log.close()
    profile = profile_log(folder / "events.jsonl")
    for engine in profile.engines:
        assert sum(engine.causes.values()) == profile.wall_ns
    return profile


def first(profile: Profile) -> Finding:
    """What is named first, but for an event loop that other work on this machine holds up."""
    return next(finding for finding in profile.findings if finding.cause != "dispatch_lag")


async def test_slow_tools_are_named_first(fleet: Fleet, tmp_path: Path) -> None:
    turns = [ScriptedTurn(10, 1.0, 10)] * 3 + [ScriptedTurn(10)]
    profile = await profiled(fleet, tmp_path, workload(*[turns] * 6))
    assert first(profile).cause == "tool_wait"
    assert "most in sleep" in first(profile).seen


async def test_a_slow_engine_is_named_first(fleet: Fleet, tmp_path: Path) -> None:
    turns = [ScriptedTurn(60, 0.0, 10), ScriptedTurn(60)]
    profile = await profiled(fleet, tmp_path, workload(*[turns] * 12), slow_engine)
    assert first(profile).cause == "slow_engine"
    assert first(profile).seen.startswith("engine-1 takes")


async def test_a_kv_cache_a_quarter_of_what_is_needed_is_named_first(fleet: Fleet, tmp_path: Path) -> None:
    turns = [ScriptedTurn(40, 0.01, 40)] * 3 + [ScriptedTurn(40)]
    profile = await profiled(fleet, tmp_path, workload(*[turns] * 24, prompt=150))
    assert first(profile).cause == "kv_full"
    assert profile.held["kv_full"] > profile.wall_ns / 2


async def test_a_paused_engine_is_named_first(fleet: Fleet, tmp_path: Path) -> None:
    profile = await profiled(fleet, tmp_path, workload(*[[ScriptedTurn(50)]] * 6), paused_engine)
    assert first(profile).cause == "stalled"
    assert profile.engines[0].causes["stalled"] > profile.wall_ns / 4


async def test_one_very_long_trajectory_is_named_first(fleet: Fleet, tmp_path: Path) -> None:
    long = [ScriptedTurn(60, 0.0, 1)] * 14
    profile = await profiled(fleet, tmp_path, workload(long, *[[ScriptedTurn(20)]] * 6))
    assert first(profile).cause == "long_tail"
    assert profile.slowest[0].id == "g1.0"
