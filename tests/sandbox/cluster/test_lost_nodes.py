import asyncio
import time

import pytest

from headway.errors import InputError
from headway.sandbox import SandboxError, Status
from headway.sandbox.cluster import ClusterConfig, RaySandbox
from tests.sandbox.cluster.local_cluster import (
    DIES,
    DIFFERS_LATER,
    FAILS_ON_THE_FIRST,
    FIRST_DIES,
    LocalCluster,
    snippet,
)

PROMPT = ClusterConfig(pause_s=0.01)


async def start(nodes: int = 1, *, launches: int = 1000, config: ClusterConfig = PROMPT) -> RaySandbox:
    cluster = LocalCluster(nodes, launches=launches)
    return await RaySandbox.start(workers_per_node=1, config=config, cluster=cluster)


async def test_calls_that_lose_their_node_are_run_again_on_the_next():
    async with await start() as sandbox:
        calls = [snippet(f"print(1) {FIRST_DIES}"), snippet("print(2)"), snippet("print(3)")]
        results = await asyncio.gather(*map(sandbox.run, calls))
        assert [(result.stdout, result.attempt) for result in results] == [("1\n", 2), ("2\n", 2), ("3\n", 2)]


async def test_a_call_that_loses_every_node_keeps_its_turn_and_ends_at_the_fifth():
    async with await start(config=ClusterConfig(pause_s=0.01, in_flight_per_node=1)) as sandbox:
        lost, other = await asyncio.gather(
            sandbox.run(snippet(f"print(1) {DIES}")), sandbox.run(snippet("print(2)"))
        )
        assert (lost.status, lost.attempt) == (Status.WORKER_LOST, 5)
        assert lost.stderr == "the node died"
        assert (other.stdout, other.attempt) == ("2\n", 1)
        assert sandbox.nodes[0].starts == 6


async def test_a_fault_of_one_node_is_tried_on_another():
    async with await start(2) as sandbox:
        calls = [snippet(f"print({n}) {FAILS_ON_THE_FIRST}") for n in range(8)]
        results = await asyncio.gather(*map(sandbox.run, calls))
        assert [result.stdout for result in results] == [f"{n}\n" for n in range(8)]
        assert {result.attempt for result in results} == {1, 4}


async def test_without_another_node_a_fault_is_the_answer():
    async with await start() as sandbox:
        result = await sandbox.run(snippet(FAILS_ON_THE_FIRST))
        assert (result.status, result.attempt) == (Status.SANDBOX_ERROR, 6)


async def test_calls_wait_for_a_node_only_so_long():
    async with await start(launches=1, config=ClusterConfig(pause_s=60.0, node_wait_s=0.3)) as sandbox:
        lost = await sandbox.run(snippet(DIES))
        later = await sandbox.run(snippet("print(1)"))
        for result in (lost, later):
            assert result.status is Status.WORKER_LOST
            assert result.stderr == "No node of the sandbox was there for 0.3 s."
        with pytest.raises(SandboxError, match=r"No node of the sandbox was there"):
            await sandbox.open_session()


async def test_a_call_that_is_given_up_frees_its_place():
    async with await start(config=ClusterConfig(in_flight_per_node=1)) as sandbox:
        endless = [asyncio.create_task(sandbox.run(snippet("import time; time.sleep(1000)"))) for _ in "ab"]
        await asyncio.sleep(0.1)
        for call in endless:
            call.cancel()
        await asyncio.gather(*endless, return_exceptions=True)
        assert (await sandbox.run(snippet("print(1)"))).stdout == "1\n"


async def test_a_result_does_not_wait_for_the_slowest_of_its_batch():
    cluster = LocalCluster(1)
    async with await RaySandbox.start(workers_per_node=2, cluster=cluster) as sandbox:
        slow = asyncio.create_task(sandbox.run(snippet("import time; time.sleep(1000)", wall_s=2000.0)))
        quick = [sandbox.run(snippet(f"print({n})")) for n in range(5)]
        assert [result.stdout for result in await asyncio.gather(*quick)] == [f"{n}\n" for n in range(5)]
        assert not slow.done()


async def test_close_ends_what_runs_and_what_waits():
    sandbox = await start(config=ClusterConfig(in_flight_per_node=1))
    session = await sandbox.open_session()
    endless = snippet("import time; time.sleep(1000)", wall_s=2000.0)
    calls = [asyncio.create_task(run(endless)) for run in (sandbox.run, sandbox.run, session.run)]
    await asyncio.sleep(0.1)
    await sandbox.close()
    assert [(await call).status for call in calls] == [Status.WORKER_LOST] * 3
    assert (await sandbox.run(endless)).stderr == "The sandbox is closed."


async def test_a_session_is_replayed_on_another_node():
    async with await start(2) as sandbox:
        session = await sandbox.open_session()
        kept = [await session.run(snippet(code)) for code in ("x = [1]", "x.append(2)\n1 / 0", "x.append(3)")]
        cut = await session.run(snippet("x.append(4)\nwhile True: pass", wall_s=1.0))
        assert [result.status for result in (*kept, cut)] == [
            Status.OK,
            Status.ERROR,
            Status.OK,
            Status.TIMEOUT,
        ]
        branch = await session.branch()
        await lose_every_node(sandbox)
        for one, more in ((session, 5), (branch, 6)):
            result = await one.run(snippet(f"x.append({more})\nprint(x)"))
            assert (result.stdout, result.replayed) == (f"[1, 2, 3, {more}]\n", 3)
        after = await session.run(snippet("print(x)"))
        assert (after.stdout, after.replayed, after.attempt) == ("[1, 2, 3, 5]\n", 0, 1)


async def test_a_session_may_branch_while_its_node_is_lost():
    async with await start() as sandbox:
        session = await sandbox.open_session()
        await session.run(snippet("x = 1"))
        await lose_every_node(sandbox)
        branch = await session.branch()
        assert (await branch.run(snippet("print(x)"))).stdout == "1\n"


async def test_the_cell_that_loses_its_node_is_run_again_after_the_replay():
    async with await start() as sandbox:
        session = await sandbox.open_session()
        await session.run(snippet("x = 7"))
        cell = asyncio.create_task(session.run(snippet("import time; time.sleep(0.5); print(x)")))
        await asyncio.sleep(0.1)
        await sandbox.run(snippet(FIRST_DIES))
        result = await cell
        assert (result.status, result.stdout, result.replayed) == (Status.OK, "7\n", 1)
        assert result.attempt > 1


async def test_a_session_that_replays_differently_has_expired():
    async with await start() as sandbox:
        session = await sandbox.open_session()
        await session.run(snippet(f"x = 1 {DIFFERS_LATER}"))
        await lose_every_node(sandbox)
        assert (await session.run(snippet("print(x)"))).status is Status.EXPIRED
        assert (await session.run(snippet("print(x)"))).status is Status.EXPIRED
        with pytest.raises(SandboxError, match="expired"):
            await session.branch()


async def test_a_session_of_too_many_cells_is_not_replayed():
    async with await start(config=ClusterConfig(pause_s=0.01, replay_cells=1)) as sandbox:
        long, short = await sandbox.open_session(), await sandbox.open_session()
        for session, cells in ((long, 2), (short, 1)):
            for _ in range(cells):
                await session.run(snippet("x = 1"))
        assert (await long.run(snippet("print(x)"))).stdout == "1\n"
        await lose_every_node(sandbox)
        assert (await long.run(snippet("print(x)"))).status is Status.EXPIRED
        assert (await short.run(snippet("print(x)"))).replayed == 1


async def test_a_fault_in_a_session_moves_it_to_another_node():
    async with await start(2) as sandbox:
        sessions = [await sandbox.open_session() for _ in range(2)]
        for session in sessions:
            await session.run(snippet("x = 3"))
        results = [await session.run(snippet(f"print(x) {FAILS_ON_THE_FIRST}")) for session in sessions]
        assert [result.stdout for result in results] == ["3\n"] * 2
        assert sorted((result.attempt, result.replayed) for result in results) == [(1, 0), (4, 1)]


async def test_a_closed_session_has_expired():
    async with await start() as sandbox:
        session = await sandbox.open_session()
        await session.close()
        assert (await session.run(snippet("print(1)"))).status is Status.EXPIRED


async def test_a_session_that_nobody_uses_expires_and_is_not_replayed():
    async with await start() as sandbox:
        session = await sandbox.open_session(idle_s=0.05)
        await session.run(snippet("x = 1"))
        await asyncio.sleep(0.5)
        assert (await session.run(snippet("print(x)"))).status is Status.EXPIRED


async def test_sessions_open_wherever_there_is_room_for_them():
    async with await start(2, config=ClusterConfig(sessions_per_node=2)) as sandbox:
        sessions = [await sandbox.open_session() for _ in range(4)]
        with pytest.raises(SandboxError, match="No node of the sandbox could open a session: "):
            await sandbox.open_session()
        await sessions[0].close()
        await sandbox.open_session()


@pytest.mark.parametrize("numbers", [{"nodes": 0}, {"workers_per_node": -1}])
async def test_numbers_that_make_no_sandbox_are_refused(numbers):
    with pytest.raises(InputError, match="use 1 or more, or leave it out"):
        await RaySandbox.start(**numbers)


async def test_a_sandbox_of_which_no_node_starts_says_why():
    with pytest.raises(
        SandboxError, match=r"No node of the sandbox started\. Node 0: there are no more nodes\."
    ):
        await start(2, launches=0)


async def test_nodes_that_do_not_start_are_warned_of():
    with pytest.warns(
        RuntimeWarning, match=r"1 of 2 nodes of the sandbox did not start\. Node 1: there are no"
    ):
        sandbox = await start(2, launches=1)
    async with sandbox:
        assert (await sandbox.run(snippet("print(1)"))).stdout == "1\n"


async def lose_every_node(sandbox: RaySandbox) -> None:
    """Lose all nodes and wait for their successors."""
    before = [node.starts for node in sandbox.nodes]
    deadline = time.monotonic() + 60
    while any(node.starts == starts for node, starts in zip(sandbox.nodes, before, strict=True)):
        await sandbox.run(snippet(DIES))
        assert time.monotonic() < deadline
    while not all(node.in_service for node in sandbox.nodes):
        await asyncio.sleep(0.01)
        assert time.monotonic() < deadline
