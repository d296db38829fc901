"""What each tier promises of memory, with real groups where this process may divide a cgroup."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headway.sandbox import Limits, Snippet, Status, Tier, ZygoteSandbox, cgroup
from headway.sandbox.errors import CgroupUnavailable

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMIT = 128 << 20

TREE = """
import os, time
for _ in range(8):
    if not os.fork():
        hog = b"x" * (60 << 20)
        time.sleep(1000)
time.sleep(1000)
"""

SHARED = """
import mmap
hog = mmap.mmap(-1, 1 << 30)
while True:
    hog.write(b"x" * (1 << 20))
"""

SCRATCH_AND_HEAP = """
import os
for n in range(14):
    with open(str(n), "wb") as file:
        file.write(b"x" * (7 << 20))
hog = b"x" * (120 << 20)
for pid in [os.fork()]:
    more = b"y" * (60 << 20)
"""

QUICK_TREE = """
import os
children = [os.fork() for _ in range(1)]
hog = bytearray(b"x") * (100 << 20)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def exact() -> AsyncIterator[ZygoteSandbox]:
    try:
        sandbox = await ZygoteSandbox.start(workers=1, cgroup=True)
    except CgroupUnavailable as error:
        pytest.skip(f"no cgroup may be divided here: {error}")
    async with sandbox:
        yield sandbox


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched() -> AsyncIterator[ZygoteSandbox]:
    async with await ZygoteSandbox.start(workers=1, cgroup=False) as sandbox:
        yield sandbox


def hog(code: str, **limits: float) -> Snippet:
    generous = {"wall_s": 60.0, "cpu_s": 60.0, "memory_bytes": LIMIT} | limits
    return Snippet(code=code, limits=Limits(**generous))  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [TREE, SHARED, QUICK_TREE, SCRATCH_AND_HEAP])
async def test_memory_of_a_tree_is_bounded_within_a_tenth_in_tier_a(exact, code):
    result = await exact.run(hog(code, disk_bytes=256 << 20))
    assert (result.status, result.tier) == (Status.MEMORY_LIMIT, Tier.A)
    assert result.peak_memory_bytes <= 1.1 * LIMIT


async def test_an_exceeded_limit_is_the_calls_own_affair_in_tier_a(exact):
    for _ in range(3):
        assert (await exact.run(hog(SHARED))).status is Status.MEMORY_LIMIT
        after = await exact.run(hog("print(1)"))
        assert (after.status, after.stdout, after.attempt) == (Status.OK, "1\n", 1)


async def test_a_child_that_is_killed_for_memory_makes_the_call_a_memory_limit_in_tier_a(exact):
    code = f"import os\nif not os.fork():\n  exec({SHARED!r})\nos.wait()"
    assert (await exact.run(hog(code))).status is Status.MEMORY_LIMIT


async def test_a_program_within_its_limit_is_not_disturbed_in_tier_a(exact):
    result = await exact.run(hog("x = bytearray(b'x') * (100 << 20)\nprint(len(x) >> 20)"))
    assert (result.status, result.stdout) == (Status.OK, "100\n")
    assert 100 << 20 <= result.peak_memory_bytes <= 1.1 * LIMIT


async def test_a_session_that_exceeds_its_memory_goes_on_from_its_last_good_state_in_tier_a(exact):
    session = await exact.open_session(Limits(memory_bytes=LIMIT))
    for code, status in (
        ("x = bytearray(b'x') * (60 << 20)", Status.OK),
        (SHARED, Status.MEMORY_LIMIT),
        ("print(len(x) >> 20)", Status.OK),
    ):
        result = await session.run(hog(code))
        assert (result.status, result.replayed) == (status, 0)
    assert result.stdout == "60\n"
    await session.close()


@pytest.mark.parametrize("code", [TREE, SHARED])
async def test_memory_of_a_tree_is_bounded_by_the_watchdog_in_tier_b(watched, code):
    result = await watched.run(hog(code))
    assert (result.status, result.tier) == (Status.MEMORY_LIMIT, Tier.B)


async def test_groups_are_gone_when_the_sandbox_is_closed():
    try:
        sandbox = await ZygoteSandbox.start(workers=2, cgroup=True)
    except CgroupUnavailable as error:
        pytest.skip(f"no cgroup may be divided here: {error}")
    folder = sandbox._pool._cgroups._folder
    async with sandbox:
        session = await sandbox.open_session()
        await session.run(hog("x = 1"))
        assert [each for each in folder.iterdir() if each.is_dir()]
    assert not folder.exists()


async def test_groups_of_a_process_that_died_are_removed_by_the_next_and_no_others(tmp_path):
    gone, alive = tmp_path / "headway-ab", tmp_path / "headway-cd"
    for folder in (gone, alive, tmp_path / "other"):
        (folder / "0").mkdir(parents=True)
    lock = os.open(alive, os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    cgroup._remove_left_over(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["headway-cd", "other"]
    os.close(lock)


async def test_groups_are_made_anew_where_somebody_removed_them(exact):
    folder = exact._pool._cgroups._folder
    for worker in [worker for idle in exact._pool._idle.values() for worker in idle]:
        exact._pool.discard(worker)
    exact._pool._idle = {flavour: [] for flavour in exact._pool._idle}
    while any(each.is_dir() for each in folder.iterdir()):
        for group in filter(Path.is_dir, folder.iterdir()):
            with contextlib.suppress(OSError):
                group.rmdir()
        await asyncio.sleep(0)
    folder.rmdir()
    assert (await exact.run(hog("print(1)"))).stdout == "1\n"


async def test_both_versions_of_the_interface_are_recognised():
    hybrid = "4:memory:/jobs/a\n1:cpu:/\n0::/user.slice\n"
    assert cgroup._memberships(hybrid) == {1: "/jobs/a", 2: "/user.slice"}
    mounted = cgroup._mounts("35 27 0:31 /jobs /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")
    assert mounted == {1: (Path("/sys/fs/cgroup/memory"), "/jobs")}


async def test_the_own_cgroup_is_divided_and_none_above_it(tmp_path):
    own = tmp_path / "service"
    own.mkdir()
    for folder, control in ((tmp_path, "cpu memory"), (own, "cpu memory")):
        (folder / "cgroup.subtree_control").write_text(control)
    assert cgroup._divisible(own, tmp_path) == own
    assert cgroup._divisible(own / "headway-service", tmp_path) == own
    (own / "cgroup.subtree_control").write_text("")
    with pytest.raises(OSError, match="not delegated"):
        cgroup._divisible(own, tmp_path)


@pytest.mark.parametrize(
    ("controllers", "members", "reason"),
    [("cpu pids", "", "not delegated"), ("cpu memory", "1", "other processes in it")],
)
async def test_a_cgroup_that_cannot_be_divided_says_why(tmp_path, controllers, members, reason):
    for name, text in (("subtree_control", ""), ("controllers", controllers), ("procs", members)):
        (tmp_path / f"cgroup.{name}").write_text(text)
    with pytest.raises(OSError, match=reason):
        cgroup._divisible(tmp_path, tmp_path)
