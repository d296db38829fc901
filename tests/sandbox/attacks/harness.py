"""Runs one attack in a sandbox and says what it achieved; an empty answer is what every test wants.

Uses the sandbox's public interface alone, and is used by whoever the tests run as, root or not.
"""

import asyncio
import os
import secrets

import psutil

from headway.sandbox import Limits, Result, Snippet, Status, ZygoteSandbox

from .attack import Attack
from .target import Target, as_input, new_canary

PATIENCE_S = 8.0
CPU_PATIENCE_S = 3.0
_BENIGN = Snippet(code="print(6 * 7)", limits=Limits(wall_s=60.0, cpu_s=60.0))


async def achievements(sandbox: ZygoteSandbox, attack: Attack, target: Target) -> list[str]:
    """Run an attack, then look around: what it did that it must not do."""
    await asyncio.gather(sandbox.run(_BENIGN), sandbox.run(_BENIGN))  # as many slots as an attack may use
    before = below(sandbox)
    marker, plant = secrets.token_hex(16), new_canary()
    given = target.given(marker, plant, patience=PATIENCE_S, cpu_patience=CPU_PATIENCE_S)
    done: list[str] = []
    if attack.first:
        code = attack.program(attack.first).replace("PLANT", plant)
        stdin = as_input(given | {"plant": plant, "more": plant * 1000})
        done += _faults(await sandbox.run(Snippet(code=code, stdin=stdin, limits=attack.limits)))
    snippets = [
        Snippet(code=attack.program(code), stdin=as_input(given), limits=attack.limits)
        for code in (attack.code, attack.beside)
        if code
    ]
    result, *others = await asyncio.gather(*map(sandbox.run, snippets))
    for each in (result, *others):
        done += _faults(each)
    if marker in result.stdout + result.stderr:
        done.append("it succeeded")
    if attack.statuses and result.status not in attack.statuses:
        done.append(f"ended as {result.status}: {result.stderr.strip()[-300:]}")
    if attack.exit_code is not None and result.exit_code != attack.exit_code:
        done.append(f"reported exit code {result.exit_code}")
    after = await sandbox.run(_BENIGN)
    if (after.status, after.stdout, after.attempt) != (Status.OK, "42\n", 1):
        done.append(f"the next call was harmed: {after}")
    if left := below(sandbox) - before:
        done.append(f"left processes: {left}")
    return done


def _faults(result: Result) -> list[str]:
    if result.is_sandbox_fault or result.attempt != 1:
        return [f"harmed the sandbox: {result.status} at attempt {result.attempt}"]
    return []


def below(sandbox: ZygoteSandbox) -> set[int]:
    """The sandbox's own processes: those that run snippets are their children, and gone between calls."""
    found = {
        process.pid for pid in sandbox.process_ids for process in psutil.Process(pid).children(recursive=True)
    }
    assert os.getpid() not in found
    return found
