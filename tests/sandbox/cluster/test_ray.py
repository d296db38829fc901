import asyncio
import os
import signal
import subprocess
import sys

import msgspec
import psutil
import pytest
import uvloop

from headway.errors import InputError
from headway.sandbox import SandboxError, Status, Tier
from headway.sandbox.cluster import ClusterConfig, RaySandbox
from headway.sandbox.cluster.link import Link
from headway.sandbox.cluster.messages import NodeOptions
from tests.sandbox.cluster.local_cluster import snippet
from tests.sandbox.cluster.processes import await_end, await_service, processes

pytestmark = pytest.mark.ray
on_one_loop = pytest.mark.asyncio(loop_scope="session")

ENDLESS = snippet("import time; time.sleep(1000)", wall_s=2000.0)


@on_one_loop
async def test_five_hundred_calls_have_one_right_result_each(ray_sandbox):
    results = await asyncio.gather(*(ray_sandbox.run(snippet(f"print({n})")) for n in range(500)))
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(500)]
    assert {result.status for result in results} == {Status.OK}
    assert ray_sandbox.tier in (Tier.A, Tier.B)
    assert {result.tier for result in results} == {ray_sandbox.tier}


@on_one_loop
async def test_killed_node_loses_no_call(ray_sandbox):
    await await_service(ray_sandbox)
    starts = sum(node.starts for node in ray_sandbox.nodes)
    left = processes(ray_sandbox)
    code = "import time; time.sleep(0.05); print({})"
    calls = [asyncio.create_task(ray_sandbox.run(snippet(code.format(n)))) for n in range(60)]
    await calls[5]
    os.kill(ray_sandbox.nodes[0].pid, signal.SIGKILL)
    results = await asyncio.gather(*calls)
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(60)]
    assert {result.attempt for result in results} == {1, 2}
    await await_service(ray_sandbox, starts=starts + 1)
    now = {process.pid for process in processes(ray_sandbox)}
    await_end([process for process in left if process.pid not in now])


@on_one_loop
async def test_sessions_stay_on_their_node(ray_sandbox):
    await await_service(ray_sandbox)
    sessions = [await ray_sandbox.open_session() for _ in range(6)]
    for step in range(3):
        cells = [session.run(snippet(f"x = {n} + {step}")) for n, session in enumerate(sessions)]
        calls = [ray_sandbox.run(snippet("x = 0")) for _ in range(6)]
        assert {result.status for result in await asyncio.gather(*cells, *calls)} == {Status.OK}
    branches = [await session.branch() for session in sessions]
    for session in (*sessions, *branches):
        await session.run(snippet("x = x + 1"))
    results = [await session.run(snippet("print(x)")) for session in (*sessions, *branches)]
    assert [result.stdout for result in results] == [f"{n + 3}\n" for n in (*range(6), *range(6))]
    assert {(result.attempt, result.replayed) for result in results} == {(1, 0)}
    for session in (*sessions, *branches):
        await session.close()


@on_one_loop
async def test_sessions_of_a_killed_node_are_replayed_on_another(ray_sandbox):
    await await_service(ray_sandbox)
    sessions = [await ray_sandbox.open_session() for _ in range(4)]
    for n, session in enumerate(sessions):
        await session.run(snippet(f"x = {n}"))
        await session.run(snippet("x += 10\n1 / 0"))
    os.kill(ray_sandbox.nodes[0].pid, signal.SIGKILL)
    results = await asyncio.gather(*(session.run(snippet("print(x)")) for session in sessions))
    assert [result.stdout for result in results] == ["10\n", "11\n", "12\n", "13\n"]
    assert sorted(result.replayed for result in results) == [0, 0, 2, 2]


async def test_node_that_does_not_answer_is_killed_and_its_calls_go_elsewhere(ray_runtime):
    config = ClusterConfig(
        cpus_per_node=0.25, in_flight_per_node=1, probe_every_s=0.5, probe_s=3.0, pause_s=0.05
    )
    async with await RaySandbox.start(2, workers_per_node=1, config=config) as sandbox:
        silent = psutil.Process(sandbox.nodes[0].pid)
        silent.suspend()
        calls = [sandbox.run(snippet(f"print({n})", wall_s=5.0)) for n in range(20)]
        results = await asyncio.gather(*calls)
        assert [result.stdout for result in results] == [f"{n}\n" for n in range(20)]
        await_end([silent])


class FirstUnsafe:
    """Ray, but the first ``unsafe`` nodes isolate nothing."""

    def __init__(self, machines, *, unsafe: int) -> None:
        self._machines = machines
        self._unsafe = unsafe
        self.nodes = machines.nodes

    async def launch(self, options: NodeOptions) -> Link:
        if self._unsafe:
            self._unsafe -= 1
            options = msgspec.structs.replace(options, unsafe_no_isolation=True)
        return await self._machines.launch(options)

    async def close(self) -> None:
        await self._machines.close()


async def unsafe_cluster(*, unsafe: int) -> FirstUnsafe:
    from headway.sandbox.cluster.machines import Machines

    machines = await Machines.connect(nodes=2, address=None, cpus_per_node=0.25)
    return FirstUnsafe(machines, unsafe=unsafe)


async def test_node_in_which_an_attack_succeeds_is_refused_and_started_anew(ray_runtime):
    with pytest.warns(RuntimeWarning, match=r"1 of 2 nodes .* its isolation does not hold"):
        sandbox = await RaySandbox.start(workers_per_node=1, cluster=await unsafe_cluster(unsafe=1))
    async with sandbox:
        results = await asyncio.gather(*(sandbox.run(snippet(f"print({n})")) for n in range(20)))
        assert [result.stdout for result in results] == [f"{n}\n" for n in range(20)]
        assert Tier.NONE not in {result.tier for result in results}
        await await_service(sandbox, starts=3)
        assert Tier.NONE not in {node.tier for node in sandbox.nodes}


async def test_without_a_node_that_isolates_nothing_starts(ray_runtime):
    with pytest.raises(SandboxError, match="its isolation does not hold"):
        await RaySandbox.start(workers_per_node=1, cluster=await unsafe_cluster(unsafe=2))


async def test_close_ends_calls_and_leaves_no_process(ray_runtime):
    sandbox = await RaySandbox.start(2, workers_per_node=1, config=ClusterConfig(cpus_per_node=0.25))
    calls = [asyncio.create_task(sandbox.run(ENDLESS)) for _ in range(20)]
    await asyncio.sleep(0.2)
    left = processes(sandbox)
    await sandbox.close()
    assert {(await call).status for call in calls} == {Status.WORKER_LOST}
    assert (await sandbox.run(ENDLESS)).status is Status.WORKER_LOST
    await_end(left)


def test_the_loop_of_production_serves(ray_runtime):
    async def use() -> list[str]:
        config = ClusterConfig(cpus_per_node=0.25, pause_s=0.05)
        async with await RaySandbox.start(1, workers_per_node=1, config=config) as sandbox:
            session = await sandbox.open_session()
            await session.run(snippet("x = 3"))
            os.kill(sandbox.nodes[0].pid, signal.SIGKILL)
            results = await asyncio.gather(session.run(snippet("print(x)")), sandbox.run(snippet("print(4)")))
            return [result.stdout for result in results]

    assert uvloop.run(use()) == ["3\n", "4\n"]


async def test_a_cluster_that_is_not_there_is_named():
    code = """
import asyncio, uvloop
from headway.sandbox.cluster import RaySandbox
uvloop.run(RaySandbox.start(address="127.0.0.1:1"))
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"{InputError.__name__}: Ray at 127.0.0.1:1 cannot be used: " in done.stderr


def test_the_sandbox_is_imported_without_ray():
    code = "import sys, headway.sandbox, headway.sandbox.cluster; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
