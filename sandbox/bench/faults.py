"""Kills processes of a sandbox at random while calls run, and counts what became of the calls.

Every call prints a number of its own, so a call that was lost, answered with another's output or answered
twice is seen. Knows nothing of how the counts are shown.
"""

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
import psutil

from ..result import Limits, Sandbox, Snippet, Status

_LIMITS = Limits(wall_s=60.0, cpu_s=60.0)
_END_S = 60.0
# A node takes seconds to come back, so it is killed more seldom than the rest.
_WEIGHTS = {"child": 30, "slot": 30, "zygote": 30, "node": 1}


class Faults(msgspec.Struct, kw_only=True):
    """What was killed and what became of the calls; ``left`` is how many processes outlived the sandbox."""

    kills: dict[str, int]
    calls: int = 0
    lost: int = 0
    wrong: int = 0
    repeated: int = 0
    left: int = 0


async def inflict(
    sandbox: Sandbox,
    roots: Callable[[], Iterable[int]],
    *,
    kills: int,
    outstanding: int,
    seed: int,
    pause_s: float = 0.1,
    on_kill: Callable[[], None] = lambda: None,
) -> Faults:
    """Kill ``kills`` processes under a load of ``outstanding`` calls, let every call end, close the sandbox.

    ``roots`` are the processes above the sandbox's zygotes at the time: this one, or a cluster's nodes, which
    are then killed, too.
    """
    rng = random.Random(seed)
    done: Counter[str] = Counter()
    faults = Faults(kills={})
    seen: set[psutil.Process] = set()
    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as running:
            for number in range(outstanding):
                running.create_task(_keep_calling(sandbox, number, stop, faults))
            while sum(done.values()) < kills:
                await asyncio.sleep(rng.random() * 2 * pause_s)
                processes = await asyncio.to_thread(_processes, set(roots()) - {0})
                seen.update(process for each in processes.values() for process in each)
                kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
                if processes[kind]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        rng.choice(processes[kind]).kill()
                        done[kind] += 1
                        on_kill()
            stop.set()
    finally:
        await sandbox.close()
    faults.kills = dict(done)
    faults.left = len((await asyncio.to_thread(psutil.wait_procs, seen, _END_S))[1])
    return faults


async def _keep_calling(sandbox: Sandbox, first: int, stop: asyncio.Event, faults: Faults) -> None:
    number = first << 32
    while not stop.is_set():
        number += 1
        code = f"import time; time.sleep({number % 5} / 500); print({number})"
        result = await sandbox.run(Snippet(code=code, limits=_LIMITS))
        faults.calls += 1
        faults.repeated += result.attempt > 1
        faults.lost += result.is_sandbox_fault
        faults.wrong += not result.is_sandbox_fault and (result.status, result.stdout) != (
            Status.OK,
            f"{number}\n",
        )


def _processes(roots: set[int]) -> dict[str, list[psutil.Process]]:
    """The processes by kind: below a root a zygote's keeper, below that a zygote, its slots, their children.

    A root that is this process is not one to kill.
    """
    found: dict[str, list[psutil.Process]] = {}
    level = _alive(roots)
    found["node"] = [process for process in level if process.pid != os.getpid()]
    level = [keeper for keeper in _below(level) if _is_zygotes(keeper)]
    for kind in ("zygote", "slot", "child"):
        level = found[kind] = _below(level)
    return found


def _alive(pids: Iterable[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def _below(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += process.children()
    return found


def _is_zygotes(process: psutil.Process) -> bool:
    try:
        return any("headway.sandbox" in argument for argument in process.cmdline())
    except psutil.NoSuchProcess:
        return False
