"""How a command is ended, and that what it finished is on disk then."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headway.cli.runtime import Interrupted, flushing, run_async
from headway.errors import HeadwayError
from headway.jsonl import JsonLines

BOTH = pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])


class FullFile:
    """A file on a full disk."""

    def __init__(self) -> None:
        self.flushed = asyncio.Event()
        self.closed = False

    def flush(self) -> None:
        self.flushed.set()
        raise HeadwayError("other: cannot write: No space left on device")

    def close(self) -> None:
        self.closed = True
        self.flush()


async def test_a_full_file_keeps_no_other_from_being_written(tmp_path: Path) -> None:
    before, after, full = JsonLines(tmp_path / "before"), JsonLines(tmp_path / "after"), FullFile()

    async def body() -> None:
        async with flushing(before, full, after, every_s=0.0):
            before.add(1)
            after.add(1)
            await full.flushed.wait()
            await asyncio.Event().wait()  # the failing file ends this

    with pytest.raises(ExceptionGroup) as caught:
        await body()
    assert caught.group_contains(HeadwayError, match="No space left")
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text() == "1\n"
    assert full.closed


async def test_what_was_added_last_is_written_even_where_another_file_cannot_be_closed(
    tmp_path: Path,
) -> None:
    lines, full = JsonLines(tmp_path / "lines"), FullFile()
    with pytest.raises(HeadwayError, match="No space left"):
        async with flushing(full, lines):
            lines.add("last")
    assert (tmp_path / "lines").read_text() == '"last"\n'


async def test_the_error_of_the_body_is_the_one_that_comes_out(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with flushing(FullFile()):
            raise HeadwayError("the engine died")
    assert caught.group_contains(HeadwayError, match="the engine died")
    assert caught.value.__notes__ == ["other: cannot write: No space left on device"]


@pytest.fixture
def own_signals():
    """Signal handlers are the process's: put them back as they were."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@BOTH
def test_a_signal_ends_a_command_in_order(signum: int, own_signals: None) -> None:
    cleaned = []

    async def command() -> None:
        try:
            os.kill(os.getpid(), signum)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with pytest.raises(Interrupted) as caught:
        run_async(command)
    assert caught.value.exit_code == 128 + signum
    assert cleaned == [True]


def test_signals_that_come_together_are_one(own_signals: None, capfd: pytest.CaptureFixture[str]) -> None:
    async def command() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    with pytest.raises(Interrupted):
        run_async(command)
    assert capfd.readouterr().err == "stopping; again to stop at once\n"


def test_what_fails_while_a_command_ends_does_not_hide_the_signal(own_signals: None) -> None:
    async def command() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            raise HeadwayError("checkpoint: cannot write")

    with pytest.raises(Interrupted) as caught:
        run_async(command)
    assert caught.value.exit_code == 130
    assert caught.value.__notes__ == ["checkpoint: cannot write"]


STUBBORN = """
import asyncio, os, signal, sys
from headway.cli.runtime import run_async

async def command():
    try:
        print("started", flush=True)
        await asyncio.Event().wait()
    finally:
        print("cleaning up", flush=True)
        while True:  # in the event loop's own thread
            pass

run_async(command)
"""


@BOTH
def test_a_second_signal_ends_even_a_command_that_is_stuck_in_its_clean_up(signum: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signum)
        assert process.stdout.readline() == "cleaning up\n"
        process.send_signal(signum)
        _, said = process.communicate(timeout=60)
    assert process.returncode == -signum
    assert said == "stopping; again to stop at once\n"
