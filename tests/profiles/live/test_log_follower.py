import asyncio
import gzip
import os
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from headway.errors import InputError
from headway.profiles.event_log import EventLog
from headway.profiles.live.log_follower import Ending, LogFollower
from headway.profiles.virtual_time import run_virtual
from headway.scheduler.events import Event

from .logs import SECOND, header, short_run, started, write_log, written_now

Told = list[tuple[float, list[Event], float]]  # when, which events, and up to when they are complete


async def follow(path: Path) -> tuple[Told, LogFollower]:
    loop = asyncio.get_running_loop()
    follower = LogFollower(path)
    told: Told = []
    async for batch in follower.batches():
        if batch.events or not told or told[-1][2] != batch.until / SECOND:
            told.append((loop.time(), batch.events, batch.until / SECOND))
    follower.close()
    return told, follower


def followed(path: Path, *meanwhile: Coroutine[None, None, None]) -> tuple[list[Event], LogFollower, float]:
    """Follow a log to its end; gives its events, the follower, and the second in which it ended."""

    async def run() -> tuple[list[Event], LogFollower, float]:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(follow(path))
            for other in meanwhile:
                group.create_task(other)
        told, follower = following.result()
        return (
            [event for _, events, _ in told for event in events],
            follower,
            asyncio.get_running_loop().time(),
        )

    return run_virtual(run())


def test_a_log_that_grows_is_told_as_it_does_and_ends_when_its_writer_closes_it(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    async def write_and_follow() -> Told:
        log = EventLog(path, written_now())
        following = asyncio.create_task(follow(path))
        await asyncio.sleep(1)
        log.emit(started(0.5))
        log.flush()
        await asyncio.sleep(60)
        log.flush()
        await asyncio.sleep(1)
        log.emit(started(61.5, "y"))
        log.close()
        told, follower = await following
        assert follower.ending is Ending.CLOSED
        return told

    assert run_virtual(write_and_follow()) == [
        (0, [], 0),
        (pytest.approx(1, abs=0.5), [started(0.5)], 1),
        (pytest.approx(61, abs=0.5), [], 61),
        (pytest.approx(62, abs=0.5), [started(61.5, "y")], 62),
    ]


def test_a_torn_line_is_waited_for(tmp_path: Path) -> None:
    whole = write_log(tmp_path / "whole.jsonl", short_run()).read_bytes()
    path = tmp_path / "events.jsonl"
    path.write_bytes(whole[:20])  # in the middle of the header

    async def write() -> None:
        for at in range(20, len(whole), 33):
            await asyncio.sleep(0.3)
            with path.open("ab") as file:
                file.write(whole[at : at + 33])

    events, follower, _ = followed(path, write())
    assert events == short_run()
    assert follower.ending is Ending.CLOSED


def test_a_run_that_is_over_is_read_to_its_end_at_once(tmp_path: Path) -> None:
    events, follower, seconds = followed(write_log(tmp_path / "events.jsonl", short_run()))
    assert (events, follower.ending, seconds) == (short_run(), Ending.CLOSED, 0)


@pytest.mark.parametrize("pid", [None, 2**22 + 1])
def test_a_log_whose_writer_is_gone_ends_after_a_while(tmp_path: Path, pid: int | None) -> None:
    path = write_log(tmp_path / "events.jsonl", short_run(), close=False, first=header(pid=pid))
    events, follower, seconds = followed(path)
    assert (events, follower.ending) == (short_run(), Ending.ABANDONED)
    assert seconds == pytest.approx(30, abs=0.5)


def test_what_a_killed_writer_left_without_a_mark_is_told_at_the_end(tmp_path: Path) -> None:
    path = write_log(tmp_path / "events.jsonl", short_run(), close=False)
    with path.open("ab") as file:
        file.write(
            b'{"event":"TrajectoryStarted","t":7,"trajectory":"z","group":"g","task":"t"}\n{"event":"Tr'
        )
    events, _, _ = followed(path)
    assert [getattr(event, "trajectory", None) for event in events[-2:]] == ["x", "z"]


def test_a_writer_that_lives_and_writes_nothing_is_given_up_in_the_end(tmp_path: Path) -> None:
    path = write_log(tmp_path / "events.jsonl", short_run(), close=False, first=written_now())
    _, follower, seconds = followed(path)
    assert follower.ending is Ending.HUNG
    assert seconds == pytest.approx(600, abs=0.5)


def test_a_process_that_began_after_the_log_is_not_its_writer(tmp_path: Path) -> None:
    path = write_log(
        tmp_path / "events.jsonl", short_run(), close=False, first=header(pid=os.getpid(), wall_ns=0)
    )
    _, follower, _ = followed(path)
    assert follower.ending is Ending.ABANDONED


def test_a_log_that_is_removed_or_cut_short_ends(tmp_path: Path) -> None:
    async def later(act: Callable[[], None]) -> None:
        await asyncio.sleep(3)
        act()

    path = write_log(tmp_path / "events.jsonl", short_run(), close=False)
    _, follower, seconds = followed(path, later(lambda: os.truncate(path, 10)))
    assert follower.ending is Ending.CUT
    assert seconds == pytest.approx(3, abs=0.5)

    path = write_log(tmp_path / "other.jsonl", short_run(), close=False)
    events, follower, _ = followed(path, later(path.unlink))
    assert (events, follower.ending) == (short_run(), Ending.REMOVED)


def test_a_compressed_log_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(write_log(tmp_path / "events.jsonl", short_run()).read_bytes()))
    events, follower, seconds = followed(path)
    assert (events, follower.ending, seconds) == (short_run(), Ending.CLOSED, 0)
    path.write_bytes(path.read_bytes()[:-8])
    events, follower, _ = followed(path)
    assert events == short_run()


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.jsonl: cannot read the event log: No such file"):
        LogFollower(tmp_path / "nothing.jsonl")
    (tmp_path / "empty.jsonl").write_bytes(b"")
    with pytest.raises(InputError, match="has no whole line in it"):
        run_virtual(LogFollower(tmp_path / "empty.jsonl").header())
    (tmp_path / "other.jsonl").write_bytes(b"{}\n")
    with pytest.raises(InputError, match="not the header"):
        run_virtual(LogFollower(tmp_path / "other.jsonl").header())
