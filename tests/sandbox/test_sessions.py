import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil
import pytest
import pytest_asyncio

from headway.sandbox import Limits, Result, SandboxError, Session, Snippet, Status, ZygoteSandbox

pytestmark = pytest.mark.asyncio(loop_scope="session")

Cell = Callable[..., Awaitable[Result]]


@pytest_asyncio.fixture(loop_scope="session")
async def session(sandbox: ZygoteSandbox) -> AsyncIterator[Session]:
    opened = await sandbox.open_session()
    yield opened
    await opened.close()


def cells_of(session: Session) -> Cell:
    async def cell(code: str, *, stdin: bytes = b"", **limits: float) -> Result:
        generous = {"wall_s": 60.0, "cpu_s": 60.0} | limits
        return await session.run(Snippet(code=code, stdin=stdin, limits=Limits(**generous)))  # type: ignore[arg-type]

    return cell


@pytest.fixture
def cell(session: Session) -> Cell:
    return cells_of(session)


async def test_variables_functions_and_imports_last_from_cell_to_cell(cell):
    await cell("import math\nx = 2\ndef double(n): return 2 * n")
    result = await cell("print(double(x), math.floor(2.5))")
    assert (result.status, result.stdout, result.kept, result.replayed) == (Status.OK, "4 2\n", True, 0)


async def test_the_value_of_a_last_expression_is_printed(cell):
    assert (await cell("x = 'a'\nx * 2")).stdout == "'aa'\n"
    assert (await cell("None")).stdout == ""


async def test_an_exception_keeps_what_the_cell_had_done(cell):
    failed = await cell("x = 1\n1 / 0")
    assert (failed.status, failed.exit_code, failed.kept) == (Status.ERROR, 1, True)
    assert failed.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert (await cell("x")).stdout == "1\n"


async def test_exit_has_its_status_and_does_not_end_the_session(cell):
    await cell("x = 1")
    assert (await cell("raise SystemExit(4)")).exit_code == 4
    assert (await cell("x")).stdout == "1\n"


@pytest.mark.parametrize(
    ("bad", "limits", "status"),
    [
        ("while True: pass", {"wall_s": 0.5}, Status.TIMEOUT),
        ("import time; time.sleep(1000)", {"wall_s": 0.5}, Status.TIMEOUT),
        ("while True: pass", {"cpu_s": 0.3}, Status.CPU_LIMIT),
        ("import ctypes; ctypes.string_at(8)", {}, Status.KILLED),
        ("import os; os._exit(3)", {}, Status.ERROR),
        ("y = bytearray(1 << 40)", {}, Status.MEMORY_LIMIT),
        ("while True: print('x' * 1000)", {"output_bytes": 1000}, Status.OUTPUT_LIMIT),
        ("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", {"wall_s": 1.0}, None),
    ],
)
async def test_a_cell_that_is_cut_off_leaves_the_last_good_state(cell, bad, limits, status):
    await cell("x = 'good'")
    ended = await cell(f"x = 'bad'\n{bad}", **limits)
    assert not ended.kept
    assert status is None or ended.status is status
    after = await cell("x")
    assert (after.stdout, after.replayed) == ("'good'\n", 0)


async def test_a_crash_is_reported_with_its_signal(cell):
    assert (await cell("import os; os.abort()")).signal == signal.SIGABRT


async def test_memory_of_all_that_a_session_holds_is_limited(sandbox):
    session = await sandbox.open_session(Limits(memory_bytes=128 << 20))
    cell = cells_of(session)
    assert (await cell("a = bytearray(b'x') * (70 << 20)")).status is Status.OK
    assert (await cell("b = bytearray(b'x') * (70 << 20)")).status is Status.MEMORY_LIMIT
    assert (await cell("len(a) >> 20")).stdout == "70\n"
    await session.close()


async def test_each_cell_has_its_own_stdin(cell):
    assert (await cell("input()", stdin=b"one\nleft over\n")).stdout == "'one'\n"
    assert (await cell("input()", stdin=b"two\n")).stdout == "'two'\n"
    assert (await cell("input()")).stderr.endswith("EOFError: EOF when reading a line\n")


async def test_large_source_and_large_stdin_arrive_whole(cell):
    code = f"import sys\ntext = {'x' * 1_000_000!r}\nprint(len(text), len(sys.stdin.read()))"
    assert (await cell(code, stdin=b"y" * 3_000_000)).stdout == "1000000 3000000\n"


async def test_a_closed_stdout_is_open_again_in_the_next_cell(cell):
    await cell("import sys; sys.stdout.close()")
    assert (await cell("print(1)")).stdout == "1\n"


async def test_processes_that_a_cell_started_end_with_it(sandbox, cell):
    await cell("import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'while True: pass'])")
    assert {process.status() for process in states_of(sandbox)} == {psutil.STATUS_STOPPED}


async def test_threads_that_a_cell_started_are_waited_for_or_end_with_it(cell):
    code = (
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.05), print('late'))).start()"
    )
    assert (await cell(code)).stdout == "late\n"
    await cell("d = threading.Thread(target=time.sleep, args=(1000,), daemon=True); d.start()")
    assert (await cell("threading.active_count()")).stdout == "1\n"


async def test_sessions_see_nothing_of_each_other(sandbox, cell):
    await cell("x = 1; open('/tmp/mine', 'w').write('x')")
    other = await sandbox.open_session()
    assert (
        await cells_of(other)("import os; 'x' in globals(), os.listdir('/tmp')")
    ).stdout == "(False, [])\n"
    await other.close()
    assert (await sandbox.run(Snippet(code="print('x' in globals())"))).stdout == "False\n"


async def test_a_branch_goes_on_from_the_same_state_independently(session, cell):
    await cell("x = [1]")
    branch = await session.branch()
    twig = await branch.branch()
    await cell("x.append(2)")
    await cells_of(branch)("x.append(3)")
    seen = [(await each("x")).stdout for each in (cell, cells_of(branch), cells_of(twig))]
    assert seen == ["[1, 2]\n", "[1, 3]\n", "[1]\n"]
    await session.close()
    after = await cells_of(branch)("x")
    assert (after.stdout, after.replayed) == ("[1, 3]\n", 0)


async def test_more_branches_than_a_slot_holds_go_on_from_the_same_state(session, cell):
    await cell("x = 1")
    branches = [await session.branch() for _ in range(20)]
    results = await asyncio.gather(*(cells_of(branch)("x") for branch in branches))
    assert {result.stdout for result in results} == {"1\n"}
    assert {result.replayed for result in results} == {0, 1}
    for branch in branches:
        await branch.close()


async def test_an_idle_session_is_stopped(sandbox, cell):
    await cell("import threading\ndef spin():\n  while True: pass")
    await cell("threading.Thread(target=spin, daemon=True).start()")
    assert {process.status() for process in states_of(sandbox)} == {psutil.STATUS_STOPPED}


async def test_a_session_whose_slot_was_lost_comes_back_by_replay_and_says_so(sandbox, cell):
    await cell("x = 1")
    await cell("x += 1\n1 / 0")
    kill_slots(sandbox)
    result = await cell("x")
    assert (result.status, result.stdout, result.replayed) == (Status.OK, "2\n", 2)


async def test_a_session_whose_cells_do_not_run_again_alike_expires(sandbox, cell):
    await cell("import random; x = random.SystemRandom().random() if False else 0")
    await cell("import os, time\nraise SystemExit(int(time.time_ns() % 250) + 1)")
    await cell("raise SystemExit(int(time.time_ns() // 1000 % 250) + 1)")
    await cell("raise SystemExit(int(time.time_ns() // 1000 % 250) + 1)")
    kill_slots(sandbox)
    assert [(await cell("x")).status for _ in range(2)] == [Status.EXPIRED] * 2


async def test_a_cell_that_ends_its_own_last_good_state_costs_a_replay(cell):
    await cell("x = 1")
    assert (
        await cell("import os, time\nos.kill(-1, 9)\ntime.sleep(1000)", wall_s=0.5)
    ).status is Status.TIMEOUT
    result = await cell("x")
    assert (result.stdout, result.replayed) == ("1\n", 1)


@pytest.mark.parametrize(
    "forged",
    [
        "import os, time\nos.write(3, b'D\\0\\0')\ntime.sleep(1000)",
        "import os\nwhile True: os.write(3, b'D\\0\\0')",
    ],
    ids=["and falls silent", "and says it again and again"],
)
async def test_a_cell_that_says_too_early_that_it_is_done_ends_only_its_own_session(forged):
    async with await ZygoteSandbox.start(workers=2, slot_patience_s=3.0) as sandbox:
        cell, others_cell = [cells_of(await sandbox.open_session()) for _ in range(2)]
        await others_cell("x = 1")
        assert (await cell(forged)).status is Status.OK
        assert (await cell("print('after')", wall_s=0.5)).status is Status.EXPIRED
        assert (await others_cell("x")).stdout == "1\n"


async def test_a_session_that_is_closed_answers_expired(sandbox):
    session = await sandbox.open_session()
    assert (await cells_of(session)("1")).status is Status.OK
    await session.close()
    assert (await cells_of(session)("1")).status is Status.EXPIRED
    with pytest.raises(SandboxError, match="has ended"):
        await session.branch()


async def test_a_session_that_is_not_used_expires_and_leaves_no_process(sandbox):
    before = {process.pid for process in states_of(sandbox)}
    session = await sandbox.open_session(idle_s=0.05)
    assert (await cells_of(session)("x = 1")).status is Status.OK
    (mine,) = [process for process in states_of(sandbox) if process.pid not in before]
    await asyncio.to_thread(mine.wait, 60)
    assert (await cells_of(session)("x")).status is Status.EXPIRED


async def test_no_more_sessions_than_allowed_are_live():
    async with await ZygoteSandbox.start(workers=1, max_sessions=2) as sandbox:
        first, _ = [await sandbox.open_session() for _ in range(2)]
        with pytest.raises(SandboxError, match=r"2 sessions are live.* max_sessions"):
            await sandbox.open_session()
        with pytest.raises(SandboxError, match="2 sessions are live"):
            await first.branch()
        await first.close()
        await sandbox.open_session()


async def test_closing_the_sandbox_ends_its_sessions():
    sandbox = await ZygoteSandbox.start(workers=1)
    session = await sandbox.open_session()
    cell = asyncio.create_task(cells_of(session)("import time; time.sleep(1000)"))
    while not (left := sandbox_tree(sandbox)):  # noqa: ASYNC110 (nothing here tells when)
        await asyncio.sleep(0.01)
    await sandbox.close()
    assert (await cell).status in (Status.WORKER_LOST, Status.EXPIRED)
    assert (await cells_of(session)("1")).status is Status.EXPIRED
    assert not psutil.wait_procs(left, 60)[1]


async def test_a_session_that_breaks_its_state_again_and_again_expires(cell):
    await cell("x = 1")
    for _ in range(4):
        await cell("import os, time\nos.kill(-1, 9)\ntime.sleep(1000)", wall_s=0.3)
        last = await cell("x")
    assert last.status is Status.EXPIRED


async def test_cancelling_a_cell_loses_no_state(session, cell):
    await cell("x = 1")
    running = asyncio.create_task(cell("x = 2\nimport time; time.sleep(1000)", wall_s=2000.0))
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await cell("x")).stdout == "1\n"


async def test_cancelling_a_cell_at_any_moment_of_its_start_loses_no_state(session, cell):
    await cell("x = 1")
    for moment in range(40):
        running = asyncio.create_task(cell("import time; time.sleep(1000)", wall_s=2000.0))
        await asyncio.sleep(moment * 0.0002)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    after = await cell("x")
    assert (after.stdout, after.replayed) == ("1\n", 0)


RESISTS = """
import os, threading
def go_on():
    while True:
        pid = os.fork()
        if pid == 0:
            threading.Event().wait()
        os.waitpid(pid, 0)
threading.Thread(target=go_on, daemon=True).start()
"""


@pytest.mark.parametrize("code", [RESISTS, "import os\nos.register_at_fork(after_in_parent=os.fork)"])
async def test_nothing_but_stopped_states_is_left_between_calls(sandbox, session, cell, code):
    await cell(code)
    await cell("1")
    branch = await session.branch()
    await cell("2")
    assert {process.status() for process in states_of(sandbox)} <= {psutil.STATUS_STOPPED}
    await branch.close()


async def test_words_that_an_earlier_cell_left_on_the_line_say_nothing(cell):
    forged = """
import os, time
if not os.fork():
    if not os.fork():
        time.sleep(0.05)
        os.write(3, b"")
        os.write(3, b"H")
    os._exit(0)
os.write(3, b"D" + bytes(2))
time.sleep(0.2)
"""
    for _ in range(3):
        await cell(forged, wall_s=5.0)
        after = await cell("print('mine')", wall_s=5.0)
        assert after.status in (Status.OK, Status.EXPIRED)
        if after.status is Status.EXPIRED:
            break
        assert after.stdout == "mine\n"


async def test_a_cell_that_leaves_every_file_open_does_not_end_its_session(cell):
    assert (await cell("files = []\nwhile True: files.append(open('/dev/null'))")).status is Status.ERROR
    after = await cell("len(files) > 20")
    assert (after.stdout, after.replayed) == ("True\n", 0)


async def test_closing_a_session_cuts_its_cell_off_and_leaves_its_branches(session, cell):
    await cell("x = 1")
    branch = await session.branch()
    running = asyncio.create_task(cell("import time; time.sleep(1000)", wall_s=2000.0))
    await asyncio.sleep(0.1)
    await session.close()
    assert (await running).status is Status.EXPIRED
    after = await cells_of(branch)("x")
    assert (after.stdout, after.replayed) == ("1\n", 0)


async def test_cancelling_a_branchs_cell_leaves_its_siblings_as_they_are(session, cell):
    await cell("import random; x = random.SystemRandom().random()")
    branch = await session.branch()
    running = asyncio.create_task(cell("import time; time.sleep(1000)", wall_s=2000.0))
    await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    results = [await each("x") for each in (cell, cells_of(branch))]
    assert results[0].stdout == results[1].stdout
    assert [result.replayed for result in results] == [0, 0]


@pytest.mark.slow
async def test_a_thousand_sessions_live_at_once_and_keep_their_states_apart(sandbox):
    sessions = [await sandbox.open_session() for _ in range(1000)]
    await asyncio.gather(*(cells_of(s)(f"x = {n}") for n, s in enumerate(sessions)))
    await asyncio.gather(*(cells_of(s)("x = -1\nimport os; os.abort()") for s in sessions[::100]))
    results = await asyncio.gather(*(cells_of(s)("print(x)") for s in sessions))
    assert [int(result.stdout) for result in results] == list(range(1000))
    assert {result.replayed for result in results} == {0}
    for each in sessions:
        await each.close()


def sandbox_tree(sandbox: ZygoteSandbox) -> list[psutil.Process]:
    return [p for pid in sandbox.process_ids for p in psutil.Process(pid).children(recursive=True)]


def slots_of(sandbox: ZygoteSandbox) -> list[psutil.Process]:
    zygotes = [zygote for pid in sandbox.process_ids for zygote in living_children(psutil.Process(pid))]
    return [slot for zygote in zygotes for slot in living_children(zygote)]


def kill_slots(sandbox: ZygoteSandbox) -> None:
    for slot in slots_of(sandbox):
        with contextlib.suppress(psutil.NoSuchProcess):
            slot.kill()


def states_of(sandbox: ZygoteSandbox) -> list[psutil.Process]:
    """The processes that hold sessions' states: below a zygote, its slot and the slot's first process."""
    firsts = [first for slot in slots_of(sandbox) for first in living_children(slot)]
    found = [state for first in firsts for state in living_children(first, recursive=True)]
    assert os.getpid() not in {process.pid for process in found}
    return found


def living_children(process: psutil.Process, *, recursive: bool = False) -> list[psutil.Process]:
    """Those that are there: what a closed session leaves goes at any moment."""
    living = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children(recursive=recursive):
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.status() != psutil.STATUS_ZOMBIE:
                    living.append(child)
    return living
