"""Kills processes of a sandbox at random while calls run, and counts what became of the calls.

Every call prints a number of its own, so a call that was lost, answered with another's output or answered
twice is seen. Knows nothing of how the counts are shown.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable

import msgspec
import psutil

from headway.sandbox.executor import ZygoteSandbox
from headway.sandbox.result import Limits, Snippet, Status

KINDS = ("child", "slot", "zygote")
_LIMITS = Limits(wall_s=60.0, cpu_s=60.0)
_END_S = 30.0


class Faults(msgspec.Struct, kw_only=True):
    """What was killed and what became of the calls; ``left`` is how many processes outlived the sandbox."""

    kills: dict[str, int]
    calls: int = 0
    lost: int = 0
    wrong: int = 0
    repeated: int = 0
    left: int = 0


async def inflict(
    *,
    kills: int,
    workers: int,
    outstanding: int,
    seed: int,
    pause_s: float = 0.02,
    on_kill: Callable[[], None] = lambda: None,
) -> Faults:
    """Kill ``kills`` processes under a load of ``outstanding`` calls, then let every call end."""
    rng = random.Random(seed)
    done: Counter[str] = Counter()
    faults = Faults(kills={})
    sandbox = await ZygoteSandbox.start(workers=workers)
    seen: set[psutil.Process] = set()
    stop = asyncio.Event()
    async with sandbox, asyncio.TaskGroup() as running:
        for number in range(outstanding):
            running.create_task(_keep_calling(sandbox, number, stop, faults))
        while sum(done.values()) < kills:
            await asyncio.sleep(rng.random() * 2 * pause_s)
            kind = rng.choice(KINDS)
            processes = await asyncio.to_thread(_processes, sandbox)
            seen.update(process for each in processes.values() for process in each)
            if processes[kind]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    rng.choice(processes[kind]).kill()
                    done[kind] += 1
                    on_kill()
        stop.set()
    faults.kills = dict(done)
    faults.left = len((await asyncio.to_thread(psutil.wait_procs, seen, _END_S))[1])
    return faults


async def _keep_calling(sandbox: ZygoteSandbox, first: int, stop: asyncio.Event, faults: Faults) -> None:
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


def _processes(sandbox: ZygoteSandbox) -> dict[str, list[psutil.Process]]:
    """The sandbox's processes by kind: below the one that was started a zygote, its slots, their children."""
    found: dict[str, list[psutil.Process]] = {"zygote": [], "slot": [], "child": []}
    level = []
    for pid in sandbox.process_ids:
        with contextlib.suppress(psutil.NoSuchProcess):
            level += psutil.Process(pid).children()
    for kind in ("zygote", "slot", "child"):
        found[kind] = level
        below = []
        for process in level:
            with contextlib.suppress(psutil.NoSuchProcess):
                below += process.children()
        level = below
    return found
