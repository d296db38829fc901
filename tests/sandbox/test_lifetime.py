import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from contextlib import suppress

import psutil
import pytest

from headway.errors import HeadwayError
from headway.sandbox import Limits, SandboxError, Snippet, Status, Tier, ZygoteSandbox, probe
from headway.sandbox.errors import IsolationUnavailable
from headway.sandbox.flavour import Flavour
from headway.sandbox.jail.confinement import Isolation
from headway.sandbox.request import call_of
from headway.sandbox.wire import CALL_BYTES, Cause, Ending, pack_ending
from headway.sandbox.worker import Worker
from headway.sandbox.zygote import Zygote, launch

SLEEPER = Snippet(code="import time; time.sleep(1.5); print('done')", limits=Limits(wall_s=60.0))
ENDLESS = Snippet(code="import time; time.sleep(1000)", limits=Limits(wall_s=2000.0))


def processes(sandbox: ZygoteSandbox) -> list[psutil.Process]:
    roots = [psutil.Process(pid) for pid in sandbox.process_ids]
    return roots + [child for root in roots for child in root.children(recursive=True)]


def slots(sandbox: ZygoteSandbox) -> list[psutil.Process]:
    zygotes = [zygote for pid in sandbox.process_ids for zygote in psutil.Process(pid).children()]
    return [slot for zygote in zygotes for slot in zygote.children()]


async def busy_slot(sandbox: ZygoteSandbox) -> psutil.Process:
    while True:
        with suppress(psutil.NoSuchProcess):  # one that was seen may be gone at the next look
            for slot in slots(sandbox):
                if slot.children():
                    return slot
        await asyncio.sleep(0.01)


async def test_lost_worker_loses_no_call():
    async with await ZygoteSandbox.start(workers=2) as sandbox:
        call = asyncio.create_task(sandbox.run(SLEEPER))
        (await busy_slot(sandbox)).kill()
        result = await call
    assert (result.status, result.stdout, result.attempt) == (Status.OK, "done\n", 2)


async def test_a_run_that_the_machine_killed_is_repeated():
    async with await ZygoteSandbox.start(workers=1) as sandbox:
        call = asyncio.create_task(sandbox.run(SLEEPER))
        (await busy_slot(sandbox)).children()[0].kill()
        result = await call
    assert (result.status, result.stdout, result.attempt) == (Status.OK, "done\n", 2)


async def test_lost_zygote_loses_no_call():
    async with await ZygoteSandbox.start(workers=2) as sandbox:
        calls = [asyncio.create_task(sandbox.run(SLEEPER)) for _ in range(3)]
        (await busy_slot(sandbox)).parent().kill()
        results = await asyncio.gather(*calls)
    assert [result.stdout for result in results] == ["done\n"] * 3


async def test_a_zygote_that_hangs_is_replaced_and_the_queued_calls_are_answered():
    async with await ZygoteSandbox.start(workers=4, slot_patience_s=3.0) as sandbox:
        (hung,) = psutil.Process(sandbox.process_ids[0]).children()
        hung.suspend()
        results = await asyncio.gather(*(sandbox.run(SLEEPER) for _ in range(8)))
        assert [result.stdout for result in results] == ["done\n"] * 8
        await_end([hung])


async def test_a_slot_that_hangs_is_given_up_and_its_call_answered_by_another():
    async with await ZygoteSandbox.start(workers=1, slot_patience_s=3.0) as sandbox:
        (slot,) = slots(sandbox)
        slot.suspend()
        result = await sandbox.run(Snippet(code="print(1)", limits=Limits(wall_s=1.0)))
        assert (result.stdout, result.attempt) == ("1\n", 2)
        (slot,) = slots(sandbox)
        slot.suspend()
        cancelled = asyncio.create_task(sandbox.run(Snippet(code="", limits=Limits(wall_s=2000.0))))
        await asyncio.sleep(0.05)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        assert (await sandbox.run(Snippet(code="print(2)"))).stdout == "2\n"


async def test_an_answer_that_comes_as_its_call_is_cancelled_is_heard():
    ours, slot = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    zygote = await launch(Flavour.BARE, Isolation.NAMESPACES)
    worker = Worker(zygote, 1, ours, None, 3.0)
    call = asyncio.create_task(worker.order(call_of(Snippet(code=""))))
    await asyncio.sleep(0)
    assert slot.recv(CALL_BYTES)
    slot.send(pack_ending(Ending(Cause.EXITED)))
    asyncio.get_running_loop().call_later(0, call.cancel)  # after the loop has seen the answer
    await asyncio.wait([call])
    worker.close()
    slot.close()
    await zygote.close()
    assert (call.cancelled(), worker.is_usable) == (True, True)


async def test_idle_worker_that_died_is_replaced():
    async with await ZygoteSandbox.start(workers=1) as sandbox:
        for slot in slots(sandbox):
            slot.kill()
        await asyncio.sleep(0.1)
        result = await sandbox.run(Snippet(code="print(1)", limits=Limits(wall_s=60.0)))
    assert result.stdout == "1\n"


async def test_call_that_loses_every_worker_is_a_fault_of_the_sandbox():
    async with await ZygoteSandbox.start(workers=1) as sandbox:
        call = asyncio.create_task(sandbox.run(ENDLESS))
        for _ in range(4):
            slot = await busy_slot(sandbox)
            slot.kill()
            await asyncio.to_thread(slot.wait, 60)
        result = await call
    assert (result.status, result.attempt, result.is_sandbox_fault) == (Status.WORKER_LOST, 4, True)


async def test_close_ends_calls_and_leaves_no_process():
    sandbox = await ZygoteSandbox.start(workers=1)
    calls = [asyncio.create_task(sandbox.run(ENDLESS)) for _ in range(3)]
    await busy_slot(sandbox)
    left = processes(sandbox)
    await sandbox.close()
    assert [(await call).status for call in calls] == [Status.WORKER_LOST] * 3
    await_end(left)
    assert (await sandbox.run(SLEEPER)).status is Status.WORKER_LOST


async def test_closing_twice_closes_no_file_of_others():
    sandbox = await ZygoteSandbox.start(workers=1)
    await sandbox.close()
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(64)]
    await sandbox.close()
    for fd in files:
        os.close(fd)


async def test_exception_leaves_no_process():
    left: list[psutil.Process] = []

    async def fail() -> None:
        async with await ZygoteSandbox.start(workers=1) as sandbox:
            left.extend(processes(sandbox))
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    await_end(left)


PARENT = """
import asyncio, sys
from headway.sandbox import Limits, Snippet, ZygoteSandbox

async def main():
    sandbox = await ZygoteSandbox.start(workers=2)
    endless = Snippet(code="import os, time; os.fork(); time.sleep(1000)", limits=Limits(wall_s=2000.0))
    calls = [asyncio.create_task(sandbox.run(endless)) for _ in range(2)]
    await asyncio.sleep(0.3)
    print(*sandbox.process_ids, flush=True)
    if sys.argv[1] == "raise":
        raise KeyError
    await asyncio.gather(*calls)

asyncio.run(main())
"""


@pytest.mark.parametrize("way", ["kill", "raise"])
def test_end_of_the_parent_leaves_no_process(way):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, way], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with parent:
        assert parent.stdout is not None
        root = psutil.Process(int(parent.stdout.readline()))
        left = [root, *root.children(recursive=True)] if way == "kill" else []
        if way == "kill":
            assert len(left) > 3
            os.kill(parent.pid, signal.SIGKILL)
        parent.wait(60)
    await_end([*left, root])


IMPATIENT = """
import asyncio
from headway.sandbox.flavour import Flavour
from headway.sandbox.jail.confinement import Isolation
from headway.sandbox.zygote import launch

async def main():
    starting = asyncio.create_task(launch(Flavour.BARE, Isolation.NAMESPACES))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)

asyncio.run(main())
"""


def test_a_start_that_is_given_up_ends_without_a_word():
    done = subprocess.run([sys.executable, "-c", IMPATIENT], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def await_end(left: list[psutil.Process]) -> None:
    deadline = time.monotonic() + 60
    while alive := [process for process in left if process.is_running() and process.status() != "zombie"]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.02)


async def refuse_namespaces(flavour: Flavour, isolation: Isolation) -> Zygote:
    if isolation is Isolation.NAMESPACES:
        raise IsolationUnavailable("user namespace", "unshare: Operation not permitted")
    return await launch(flavour, isolation)


async def test_refused_isolation_stops_the_start_and_says_what_to_do():
    with pytest.raises(HeadwayError, match=r"user namespace: unshare: .* To mend it: ") as caught:
        await ZygoteSandbox.start(workers=1, launch=refuse_namespaces)
    assert "\n" not in str(caught.value)


async def test_probe_names_the_step_that_fails_and_its_remedy():
    rows = {row.name: row for row in await probe(launch=refuse_namespaces)}
    refused = rows["user, pid, network and other namespaces"]
    assert (refused.works, rows["running a snippet"].works) == (False, None)
    assert refused.remedy.startswith("To mend it: ")


async def test_probe_finds_everything_working_here():
    rows = {row.name: row for row in await probe()}
    assert rows["running a snippet"].works
    assert rows["answer verification"].works
    assert rows["exact memory limit (tier A)"].works is not None


async def test_weaker_isolation_is_chosen_explicitly_and_warned_of():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            sandbox = await ZygoteSandbox.start(workers=1, allow_tier_c=True, launch=refuse_namespaces)
        except SandboxError as error:
            pytest.skip(f"Python is not readable by an unprivileged user here: {error}")
    async with sandbox:
        assert "tier C" in str(caught[0].message)
        refused = await sandbox.run(Snippet(code="import socket; socket.socket()"))
        daemon = await sandbox.run(
            Snippet(code="import os, time\nif not os.fork():\n  os.setsid(); time.sleep(1000)\nprint(1)")
        )
        assert (refused.tier, refused.status) == (Tier.C, Status.ERROR)
        assert daemon.stdout == "1\n"
        assert not [child for slot in slots_without_namespaces(sandbox) for child in slot.children()]


async def test_unsafe_sandbox_says_so_in_each_result():
    with pytest.warns(RuntimeWarning, match="WITHOUT ISOLATION"):
        sandbox = await ZygoteSandbox.start(workers=1, unsafe_no_isolation=True)
    async with sandbox:
        good = await sandbox.run(Snippet(code="print(1)", limits=Limits(wall_s=60.0)))
        daemon = await sandbox.run(
            Snippet(
                code="import os, time\nif not os.fork():\n  os.setsid(); time.sleep(1000)\nprint(1)",
                limits=Limits(wall_s=60.0),
            )
        )
        left = processes(sandbox)
        assert (good.tier, good.stdout, daemon.stdout) == (Tier.NONE, "1\n", "1\n")
        assert not [child for slot in slots_without_namespaces(sandbox) for child in slot.children()]
    await_end(left)


def slots_without_namespaces(sandbox: ZygoteSandbox) -> list[psutil.Process]:
    return [slot for pid in sandbox.process_ids for slot in psutil.Process(pid).children()]


def test_a_sandbox_in_another_loop_is_refused_in_words():
    async def start() -> ZygoteSandbox:
        return await ZygoteSandbox.start(workers=1)

    with asyncio.Runner() as first, asyncio.Runner() as second:
        sandbox = first.run(start())
        with pytest.raises(SandboxError, match="event loop that started it"):
            second.run(sandbox.run(Snippet(code="")))
        first.run(sandbox.close())
