import asyncio
import itertools
import shutil
import subprocess
import sys

import psutil
import pytest

from headway.sandbox import SandboxError
from headway.sandbox.bench import usage
from headway.sandbox.bench.executors import Answer, Executor, bubblewrap_executor, subprocess_executor
from headway.sandbox.bench.loops import closed_loop, open_loop
from headway.sandbox.bench.snippets import BenchCall, bench_calls


def calls(count: int) -> list[BenchCall]:
    return [BenchCall(str(number), str(number)) for number in range(count)]


class Echo:
    """Answers a call with its code, after some turns of the event loop; counts how many run at once."""

    name = "echo"

    def __init__(self, wrong: dict[str, str | None] | None = None) -> None:
        self.seen: list[str] = []
        self.running = self.most = 0
        self._wrong = wrong or {}

    async def run(self, code: str) -> Answer:
        self.seen.append(code)
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(5):
            await asyncio.sleep(0)
        self.running -= 1
        return Answer(self._wrong.get(code, code), 0.0)


async def test_a_burst_submits_every_call_at_once_and_in_order() -> None:
    echo = Echo()
    samples = await closed_loop(echo, calls(300), outstanding=300)
    assert echo.most == len(samples) == 300
    assert echo.seen == [str(number) for number in range(300)]
    assert all(sample.right for sample in samples)


async def test_a_closed_loop_keeps_so_many_outstanding() -> None:
    echo = Echo()
    samples = await closed_loop(echo, calls(100), outstanding=7)
    assert (echo.most, len(samples)) == (7, 100)


async def test_a_closed_loop_submits_one_call_at_least_and_ends_in_time() -> None:
    samples = await closed_loop(
        Echo(), (BenchCall("1", "1") for _ in itertools.count()), outstanding=9, seconds=0
    )
    assert len(samples) == 1


async def test_an_answer_that_is_none_or_another_calls_is_not_right() -> None:
    samples = await closed_loop(Echo({"1": None, "2": "3"}), calls(5), outstanding=5)
    assert [sample.right for sample in samples] == [True, False, False, True, True]


async def test_an_open_loop_counts_from_the_arrival() -> None:
    arrivals = [0.0, 0.001, 0.002]
    samples = await open_loop(Echo(), iter(calls(9)), arrivals)
    assert len(samples) == 3
    assert samples[2].due - samples[0].due == pytest.approx(0.002)
    assert all(sample.due <= sample.ended for sample in samples)


async def answers(executor: Executor, kind: str) -> list[bool]:
    samples = await closed_loop(executor, itertools.islice(bench_calls(kind, "test"), 3), outstanding=3)
    return [sample.right for sample in samples]


@pytest.mark.parametrize("kind", ["light", "numpy"])
async def test_a_subprocess_answers_rightly(kind: str) -> None:
    assert await answers(subprocess_executor(2), kind) == [True] * 3


async def test_bubblewrap_answers_rightly_or_says_why_it_cannot() -> None:
    if shutil.which("bwrap") is None:
        with pytest.raises(SandboxError, match="bubblewrap is not installed"):
            await bubblewrap_executor(2)
    else:
        assert await answers(await bubblewrap_executor(2), "numpy") == [True] * 3


async def test_a_cancelled_call_leaves_no_process() -> None:
    before = children()
    call = asyncio.create_task(subprocess_executor(1).run("import time; time.sleep(1000)"))
    async with asyncio.timeout(60):
        await new_child(before)
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert children() == before


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


async def new_child(before: set[psutil.Process]) -> None:
    while True:
        if children() - before:
            return
        await asyncio.sleep(0.001)


SPINNER = """
import os, sys, time
if os.fork() == 0:
    while time.process_time() < 0.4: pass
    os._exit(0)
os.wait()
print("spun", flush=True)
sys.stdin.read()
"""


def test_processor_time_is_counted_once_of_processes_that_live_and_that_ended() -> None:
    before = usage.cpu_s()
    with subprocess.Popen([sys.executable, "-c", SPINNER], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"spun\n"
        living = usage.cpu_s() - before
        process.communicate()
    ended = usage.cpu_s() - before
    assert living >= 0.37
    assert living - 0.05 <= ended < living + 0.3


def test_the_peak_of_memory_is_counted_anew() -> None:
    usage.reset_peak_memory()
    before = usage.peak_memory_bytes()
    block = bytearray(b"x") * (64 << 20)
    assert usage.peak_memory_bytes() - before >= 60 << 20
    assert usage.memory_bytes() - before >= 60 << 20
    del block
