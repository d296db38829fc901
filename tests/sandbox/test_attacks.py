"""Every attack is held, whoever runs the sandbox; and every attack that can be shown safely does succeed
where nothing holds it, so that none of them is held by a mistake of its own.
"""

import json
import os
import platform
import subprocess
import sys

import pytest

from headway.sandbox import Status

from .attacks import ATTACKS, Attack
from .attacks.harness import achievements
from .attacks.ordinary_user import PROJECT

on_the_sandboxs_loop = pytest.mark.asyncio(loop_scope="session")

HERE = [attack for attack in ATTACKS if attack.machine in ("", platform.machine())]
_PACKAGE = "tests.sandbox.attacks"
_LIMIT_S = 600


def case(attack: Attack):
    marks = () if attack in HERE else (pytest.mark.skip(reason=f"means something on {attack.machine} only"),)
    return pytest.param(attack, id=attack.name.replace(" ", "-"), marks=marks)


@on_the_sandboxs_loop
@pytest.mark.parametrize("attack", [case(attack) for attack in ATTACKS])
async def test_attack_is_held(sandbox, target, attack):
    assert await achievements(sandbox, attack, target) == []


def test_attacks_are_told_apart_by_name():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) > 100


@pytest.mark.slow
def test_attacks_on_an_ordinary_users_sandbox_are_held():
    done = json.loads(as_ordinary_user("as_user"))
    assert done["uid"] != 0
    assert {name: achieved for name, achieved in done["achieved"].items() if achieved} == {}
    assert list(done["achieved"]) == [attack.name for attack in HERE]


@pytest.mark.slow
def test_attacks_succeed_where_nothing_holds_them():
    shown = json.loads(as_ordinary_user("unprotected"))
    live = [attack.name for attack in HERE if attack.live_unprotected]
    assert set(live) - set(shown) == set()
    assert len(live) > 200


@on_the_sandboxs_loop
async def test_memory_limit_is_reported_with_what_was_held(run):
    code = """
import os, time
for _ in range(8):
    if not os.fork():
        hog = b"x" * (60 << 20)
        time.sleep(1000)
time.sleep(1000)
"""
    result = await run(code, memory_bytes=128 << 20)
    assert (result.status, result.signal) == (Status.MEMORY_LIMIT, 9)
    assert result.peak_memory_bytes > 128 << 20


def as_ordinary_user(script: str) -> str:
    """Run one of the attacks' scripts as a user who is not root, and return what it prints."""
    start = [sys.executable, "-B", "-m", f"{_PACKAGE}.ordinary_user", sys.executable, "-B"]
    environment = {"PATH": os.defpath, "HOME": "/nonexistent"}
    options = {"cwd": PROJECT, "env": environment, "capture_output": True, "text": True, "timeout": _LIMIT_S}
    able = subprocess.run([*start, "-c", f"import {_PACKAGE}"], **options)
    if able.returncode and os.geteuid() == 0:
        pytest.skip(f"an ordinary user cannot run this Python here: {able.stderr.strip()[-300:]}")
    done = subprocess.run([*start, "-m", f"{_PACKAGE}.{script}"], **options)
    assert done.returncode == 0, done.stderr
    return done.stdout
