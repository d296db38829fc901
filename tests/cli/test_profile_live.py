"""``headway profile --live``: a run's log watched from outside, on a terminal and elsewhere."""

import io
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console, ConsoleDimensions

from headway.cli.profile_live import run_live
from headway.cli.profile_live_view import render_run
from headway.errors import InputError
from headway.profiles.live.live_run import LiveRun
from headway.scheduler import events as ev
from tests.profiles.live.logs import (
    SECOND,
    dispatched,
    header,
    held,
    ready,
    short_run,
    started,
    write_log,
    written_now,
)

EVERY_S = 0.02


class Paper(io.StringIO):
    """What is printed, and what happens when some words are printed for the first time."""

    def __init__(self, words: str = "", act: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._words = words
        self._act: Callable[[], None] | None = act

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._act is not None and self._words and self._words in self.getvalue():
            act, self._act = self._act, None
            act()
        return written


def watch(run: Path, paper: Paper, *, terminal: bool = False) -> str:
    console = Console(file=paper, width=130, height=40, force_terminal=terminal, no_color=True)
    run_live(run, console, every_s=EVERY_S)
    return paper.getvalue()


def test_a_run_that_is_over_is_told_in_a_line(tmp_path: Path) -> None:
    write_log(tmp_path / "events.jsonl", short_run())
    said = watch(tmp_path, Paper())
    assert "10.0 s: 75% of 20 engine-seconds idle, 40% of that tool wait; last 10.0 s: 75% of 20" in said
    assert "1 finished, 0 failed" in said
    assert said.endswith("events.jsonl: the run is over\n")


def test_an_event_log_alone_is_watched_too(tmp_path: Path) -> None:
    said = watch(write_log(tmp_path / "mine.jsonl", short_run()), Paper())
    assert said.endswith("mine.jsonl: the run is over\n")


def test_ctrl_c_ends_the_watching_and_leaves_the_run_alone(tmp_path: Path) -> None:
    log = write_log(tmp_path / "events.jsonl", short_run()[:4], close=False, first=written_now())
    before = log.read_bytes()
    said = watch(tmp_path, Paper("1 generating", lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert "eldest x, 1.0 s, on a" in said
    assert said.endswith("watching no more; the run is left as it is\n")
    assert log.read_bytes() == before


def test_the_attempt_that_resumes_a_run_is_followed(tmp_path: Path) -> None:
    def resume() -> None:
        write_log(tmp_path / "events-2.jsonl", short_run())

    write_log(tmp_path / "events.jsonl", short_run()[:4], close=False, first=written_now())
    said = watch(tmp_path, Paper("1 generating", resume))
    assert "the run was resumed: following events-2.jsonl" in said
    assert said.endswith("events-2.jsonl: the run is over\n")


def test_a_log_that_is_removed_ends_the_watching(tmp_path: Path) -> None:
    log = write_log(tmp_path / "events.jsonl", short_run()[:4], close=False, first=written_now())
    assert watch(tmp_path, Paper("1 generating", log.unlink)).endswith("the log has been removed\n")


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no event log"):
        watch(tmp_path, Paper())


def test_on_a_terminal_the_last_picture_stays(tmp_path: Path) -> None:
    write_log(tmp_path / "events.jsonl", short_run())
    said = watch(tmp_path, Paper(), terminal=True)
    for words in ("75% of 20 engine-seconds idle", "the run is over", "tool wait", "tokens/s"):
        assert words in said


def picture(*events: ev.Event, engines: int = 2, width: int = 130, height: int = 40) -> str:
    run = LiveRun(header(engines=[f"engine-{number}" for number in range(engines)]))
    for event in events:
        run.emit(event)
    run.advance(10 * SECOND)
    paper = io.StringIO()
    size = ConsoleDimensions(width, height)
    Console(file=paper, width=width, height=height).print(
        render_run(run, source="runs/mine", status="now", size=size)
    )
    return paper.getvalue()


BUSY_AND_HELD = (
    started(0, "[bold]x"),
    ready(0, "[bold]x"),
    dispatched(0, "engine-0", "[bold]x"),
    started(0, "y"),
    ready(4, "y"),
    held(4, "kv_full", "y"),
)


def test_the_picture_has_the_verdict_the_engines_the_causes_and_who_waits_for_what() -> None:
    said = picture(*BUSY_AND_HELD)
    assert "50% of 20 engine-seconds idle, 60% of that kv full" in said
    assert "1 generating, 1 ready (1 kv full), 0 in tools, 0 in agents" in said
    busy = next(line for line in said.splitlines() if line.startswith(" busy"))
    assert busy.split() == ["busy", "100%", "100%"]  # of the run and of the last minute, on one engine
    assert "y" in said
    assert "ready, held back: kv full, for 6.0 s" in said
    assert "[bold]x" in said  # a name is a name, whatever is in it


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60)])
def test_the_picture_of_a_large_fleet_fits_the_terminal(width: int, height: int) -> None:
    said = picture(*BUSY_AND_HELD, engines=100, width=width, height=height)
    lines = said.splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert "more engines" in said
    assert "least" in said
