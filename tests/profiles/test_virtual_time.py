import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import async_solipsism
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.profiles.virtual_time import Deadlock, VirtualLoop, run_virtual


def clock() -> float:
    return asyncio.get_running_loop().time()


def test_time_starts_at_zero_and_jumps_over_a_sleep() -> None:
    async def main() -> tuple[float, float]:
        start = clock()
        await asyncio.sleep(1e6)
        return start, clock()

    assert run_virtual(main()) == (0.0, 1e6)


def test_a_timer_runs_when_the_clock_shows_exactly_its_time() -> None:
    async def main() -> None:
        shown: list[tuple[float, float]] = []
        for moment in (1e-9, 0.1, 0.1 + 1e-12, 0.30000000000000004, 1e7, 1e7 + 1e-8):
            asyncio.get_running_loop().call_at(moment, lambda moment=moment: shown.append((moment, clock())))
        await asyncio.sleep(2e7)
        assert len(shown) == 6
        assert all(moment == now for moment, now in shown)

    run_virtual(main())


def test_cancelled_timers_do_not_move_the_clock() -> None:
    async def main() -> float:
        asyncio.get_running_loop().call_later(10.0, lambda: None).cancel()
        await asyncio.sleep(20.0)
        async with asyncio.timeout(100.0):
            await asyncio.sleep(1.0)
        return clock()

    assert run_virtual(main()) == 21.0


def test_a_timeout_ends_a_wait_at_its_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 5.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7.0):
                await asyncio.Event().wait()
        return clock()

    assert run_virtual(main()) == 12.0


def test_work_for_a_thread_is_done_at_once() -> None:
    async def main() -> tuple[int, float]:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return await asyncio.to_thread(sum, [1, 2]), clock()

    assert run_virtual(main()) == (3, 0.0)


def test_a_deadlock_names_how_many_wait_and_where() -> None:
    cancelled = []

    async def waits_for_a_tool() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(clock())
            raise

    async def main() -> None:
        await asyncio.sleep(3.0)
        await asyncio.gather(waits_for_a_tool(), waits_for_a_tool())

    with pytest.raises(
        Deadlock, match=r"at 3 s of virtual time.*3 tasks wait: 2 in .*waits_for_a_tool > Event"
    ):
        run_virtual(main())
    assert cancelled == [3.0, 3.0]


def test_a_task_that_will_not_be_cancelled_does_not_hang_either() -> None:
    async def main() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtual(main())


async def wait_busily(until: float) -> None:
    while clock() < until:  # noqa: ASYNC110 - this is what the test is about
        await asyncio.sleep(0)


def test_a_busy_wait_is_found() -> None:
    with (
        pytest.raises(Deadlock, match=r"stands still at 0 s.* waits: 1 in wait_busily"),
        asyncio.Runner(loop_factory=lambda: VirtualLoop(busy_passes=1000)) as runner,
    ):
        runner.run(wait_busily(1.0))


def test_a_busy_wait_ends_where_a_pass_takes_time() -> None:
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(pass_s=0.01)) as runner:
        runner.run(wait_busily(1.0))


Program = Callable[[list[tuple[str, float]]], Coroutine[Any, Any, None]]


def program(sleeps: list[list[int]], limit: int, seats: int) -> Program:
    """Workers that share seats, hand over through a queue and are timed out; it logs who did what when."""

    async def worker(number: int, log: list[tuple[str, float]], queue: asyncio.Queue[int]) -> None:
        for sleep in sleeps[number]:
            try:
                async with asyncio.timeout(limit / 8):
                    await asyncio.sleep(sleep / 8)
            except TimeoutError:
                log.append((f"{number} late", clock()))
            queue.put_nowait(number)

    async def main(log: list[tuple[str, float]]) -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        seat = asyncio.Semaphore(seats)

        async def seated(number: int) -> None:
            async with seat:
                log.append((f"{number} starts", clock()))
                await worker(number, log, queue)

        async with asyncio.TaskGroup() as group:
            for number in range(len(sleeps)):
                group.create_task(seated(number))
            for _ in range(sum(map(len, sleeps))):
                log.append((f"{await queue.get()} hands over", clock()))

    return main


@settings(deadline=None)
@given(
    sleeps=st.lists(st.lists(st.integers(0, 40), max_size=5), max_size=8),
    limit=st.integers(1, 41),
    seats=st.integers(1, 4),
)
def test_it_agrees_with_another_virtual_loop(sleeps: list[list[int]], limit: int, seats: int) -> None:
    logs: list[list[tuple[str, float]]] = []
    for factory in (VirtualLoop, async_solipsism.EventLoop):
        logs.append([])
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(program(sleeps, limit + 0.5 if limit % 2 else limit, seats)(logs[-1]))
    ours, theirs = logs
    assert sorted(ours, key=lambda entry: (entry[1], entry[0])) == sorted(
        theirs, key=lambda entry: (entry[1], entry[0])
    )
