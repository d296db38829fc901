import asyncio
import os

import pytest

from headway.errors import InputError
from headway.sandbox import Limits, Snippet, Status, ZygoteSandbox

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_program_that_ends_well_is_ok(run):
    result = await run("print('hello')")
    assert (result.status, result.exit_code, result.signal) == (Status.OK, 0, None)
    assert (result.stdout, result.stderr, result.attempt) == ("hello\n", "", 1)
    assert result.cpu_s > 0
    assert result.wall_s > 0
    assert result.peak_memory_bytes > 0


async def test_result_says_how_it_was_isolated(sandbox, run):
    assert (await run("")).tier is sandbox.tier


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("import sys; sys.exit(3)", 3),
        ("raise SystemExit(259)", 3),
        ("1 / 0", 1),
        ("1 +", 1),
        ("exit(2)", 2),
        ("import os; os._exit(7)", 7),
    ],
)
async def test_nonzero_exit_is_an_error(run, code, exit_code):
    result = await run(code)
    assert (result.status, result.exit_code) == (Status.ERROR, exit_code)


async def test_exit_with_a_message_prints_it(run):
    result = await run("import sys; sys.exit('no more')")
    assert (result.status, result.exit_code, result.stderr) == (Status.ERROR, 1, "no more\n")


async def test_endless_loop_times_out(run):
    result = await run("print('before', flush=True)\nwhile True: pass", wall_s=1.0)
    assert (result.status, result.stdout) == (Status.TIMEOUT, "before\n")


async def test_sleep_times_out(run):
    assert (await run("import time; time.sleep(1000)", wall_s=0.5)).status is Status.TIMEOUT


async def test_blocked_signals_do_not_outlive_the_wall_limit(run):
    code = "import signal\nsignal.pthread_sigmask(0, range(1, 65))\nsignal.alarm(0)\nwhile True: pass"
    assert (await run(code, wall_s=0.5)).status is Status.TIMEOUT


async def test_processor_time_is_limited(run):
    result = await run("while True: pass", cpu_s=0.5)
    assert (result.status, result.exit_code) == (Status.CPU_LIMIT, None)


async def test_processor_time_of_children_counts(run):
    code = "import os, time\nfor _ in range(2):\n  if not os.fork():\n    while True: pass\ntime.sleep(1000)"
    assert (await run(code, cpu_s=0.5)).status is Status.CPU_LIMIT


async def test_memory_of_one_process_is_limited(run):
    result = await run("x = bytearray(300 << 20)", memory_bytes=64 << 20)
    assert result.status is Status.MEMORY_LIMIT
    assert result.stderr.endswith("MemoryError\n")


async def test_caught_memory_error_is_the_programs_own_affair(run):
    code = "try:\n  x = bytearray(300 << 20)\nexcept MemoryError:\n  print('caught')"
    result = await run(code, memory_bytes=64 << 20)
    assert (result.status, result.stdout) == (Status.OK, "caught\n")


async def test_segmentation_fault_is_killed_with_its_signal(run):
    result = await run("import ctypes; ctypes.string_at(8)")
    assert (result.status, result.signal, result.exit_code) == (Status.KILLED, 11, None)


async def test_flood_of_output_is_stopped(run):
    result = await run("while True: print('x' * 1000)", output_bytes=1000)
    assert result.status is Status.OUTPUT_LIMIT
    assert len(result.stdout) < 1100
    assert result.stdout_dropped >= 63_000


async def test_long_output_keeps_its_head_and_tail(run):
    result = await run("print('a' * 5000 + 'b' * 5000, end='')", output_bytes=1000)
    assert result.status is Status.OK
    assert result.stdout == "a" * 500 + "\n[... 9000 bytes left out ...]\n" + "b" * 500
    assert (result.stdout_dropped, result.stderr_dropped) == (9000, 0)


async def test_streams_are_bounded_apart(run):
    result = await run("import sys\nprint('o' * 10)\nsys.stderr.write('e' * 500)", output_bytes=100)
    assert (result.stdout, result.stdout_dropped, result.stderr_dropped) == ("o" * 10 + "\n", 0, 400)


async def test_output_that_is_not_text_is_decoded_with_replacement(run):
    assert (await run("import os; os.write(1, b'a\\xffb')")).stdout == "a\ufffdb"


async def test_five_megabytes_of_input_arrive(run):
    stdin = b"0123456789" * 500_000
    result = await run("import sys, zlib; print(zlib.crc32(sys.stdin.buffer.read()))", stdin=stdin)
    assert result.stdout == "3044615108\n"


async def test_unread_input_does_not_block(run):
    assert (await run("print(input())", stdin=b"first\n" + b"x" * 5_000_000)).stdout == "first\n"


async def test_end_of_input_is_seen(run):
    assert (await run("input()")).stderr.endswith("EOFError: EOF when reading a line\n")


async def test_usual_packages_work(run):
    code = (
        "import numpy, sympy, json\nprint(numpy.arange(4).sum(), sympy.factor('x**2 - 1'), json.dumps([1]))"
    )
    assert (await run(code)).stdout == "6 (x - 1)*(x + 1) [1]\n"


async def test_threads_children_and_event_loops_work(run):
    code = """
import asyncio, subprocess, sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

async def answer():
    await asyncio.sleep(0)
    return 1

print(asyncio.run(answer()))
print(list(ThreadPoolExecutor(4).map(abs, [-2])))
with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
    print(list(pool.map(abs, [-3])))
print(subprocess.run([sys.executable, "-c", "print(4)"], capture_output=True, text=True).stdout)
"""
    result = await run(code)
    assert (result.stdout, result.stderr) == ("1\n[2]\n[3]\n4\n\n", "")


async def test_exit_handlers_and_threads_finish(run):
    code = """
import atexit, threading, time
atexit.register(print, "bye")
threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
"""
    assert (await run(code)).stdout == "thread\nbye\n"


async def test_sets_of_text_print_in_one_order_everywhere(run):
    code = "print({'a', 'b', 'c', 'd', 'e', 'f', 'g'})"
    outputs = {(await run(code + imports)).stdout for imports in ("", "", "\nimport numpy")}
    assert len(outputs) == 1


async def test_random_numbers_differ_between_runs(run):
    code = "import random, numpy\nprint(random.random(), numpy.random.random())"
    first, second = (await run(code)).stdout.split(), (await run(code)).stdout.split()
    assert not set(first) & set(second)


async def test_hundreds_of_calls_may_wait(sandbox: ZygoteSandbox):
    snippets = [Snippet(code=f"print({n})", limits=Limits(wall_s=60.0)) for n in range(200)]
    results = await asyncio.gather(*map(sandbox.run, snippets))
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(200)]


async def test_cancelled_call_leaves_the_sandbox_usable(sandbox: ZygoteSandbox, run):
    call = asyncio.create_task(run("import time; time.sleep(1000)"))
    await asyncio.sleep(0.1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await run("print(1)")).stdout == "1\n"


FORGED_KILL = """
import ctypes, os, signal, struct
libc = ctypes.CDLL(None, use_errno=True)
info = ctypes.create_string_buffer(struct.pack("iii", 9, 0, 0x80), 128)  # as if the kernel sent it
numbers = {"x86_64": (129, 297, 424), "aarch64": (138, 240, 424)}[os.uname().machine]
pid = os.getpid()
libc.syscall(numbers[0], pid, 9, info)
libc.syscall(numbers[1], pid, pid, 9, info)
libc.syscall(numbers[2], os.pidfd_open(pid), 9, info, 0)
print("still here")
"""


async def test_a_snippet_cannot_end_itself_as_if_the_machine_had(run):
    result = await run(FORGED_KILL)
    assert (result.status, result.stdout, result.attempt) == (Status.OK, "still here\n", 1)


async def test_a_snippet_that_finds_a_way_to_be_killed_is_killed_and_no_fault_of_the_sandbox(run):
    code = """
import resource, signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
while True: pass
"""
    result = await run(code)
    assert (result.status, result.signal, result.is_sandbox_fault) == (Status.KILLED, 9, False)


async def test_threads_that_sleep_cost_no_processor_time(run):
    code = """
import threading, time
for _ in range(60):
    threads = [threading.Thread(target=time.sleep, args=(0.03,)) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print(time.process_time())
"""
    result = await run(code)
    assert result.wall_s > 60 * 0.03
    assert result.cpu_s < 2 * float(result.stdout) + 0.5


async def test_an_exception_that_cannot_be_shown_shows_nothing_of_the_sandbox(run):
    code = "class E(BaseException):\n  def __str__(self): raise self\nraise E"
    result = await run(code)
    assert (result.status, result.exit_code) == (Status.ERROR, 1)
    assert "headway" not in result.stderr


async def test_a_byte_order_mark_before_the_code_is_no_error(run):
    assert (await run("\ufeffprint(1)")).stdout == "1\n"


@pytest.mark.parametrize(
    "limits",
    [
        {"wall_s": 0.0},
        {"wall_s": float("nan")},
        {"wall_s": "4"},
        {"cpu_s": float("inf")},
        {"memory_bytes": 0},
        {"memory_bytes": 5e8},
        {"memory_bytes": 1 << 63},
        {"disk_bytes": 0},
        {"output_bytes": 1 << 45},
        {"processes": 0},
        {"processes": True},
    ],
)
async def test_a_limit_out_of_range_is_refused_by_name(limits):
    (name,) = limits
    with pytest.raises(InputError, match=f"^{name} is .*: give "):
        Limits(**limits)


@pytest.mark.parametrize(("code", "stdin"), [(b"print(1)", b""), ("print(1)", "text"), (None, b"")])
async def test_code_is_text_and_input_is_bytes(code, stdin):
    with pytest.raises(InputError, match="give text and bytes"):
        Snippet(code=code, stdin=stdin)


async def test_a_cancelled_call_leaves_its_worker_free_and_no_file_open(sandbox):
    await sandbox.run(Snippet(code=""))
    before, workers = len(os.listdir("/proc/self/fd")), set(sandbox._pool._busy)
    for size in (0, 3 << 20):
        call = asyncio.create_task(
            sandbox.run(
                Snippet(code="import time; time.sleep(1000)", stdin=bytes(size), limits=Limits(wall_s=2000.0))
            )
        )
        while sandbox._pool._busy == workers:  # noqa: ASYNC110 (nothing tells when)
            await asyncio.sleep(0.005)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert (await sandbox.run(Snippet(code="print(1)"))).stdout == "1\n"
    assert len(os.listdir("/proc/self/fd")) <= before + 1
