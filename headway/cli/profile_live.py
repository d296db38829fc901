"""Watches a run that goes on, by its event log alone: on a terminal a picture that moves, elsewhere lines.

Invariants: the run is only read; Ctrl-C ends the watching and leaves the run alone. Where a run is resumed,
its new attempt is followed from then on.
"""

import asyncio
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from headway.errors import InputError
from headway.profiles.live.live_run import LiveRun
from headway.profiles.live.log_follower import LogFollower
from headway.profiles.run_logs import event_log

from .profile_live_view import line, render_run

_BEHIND_S = 5.0  # a log is written every second


def run_live(run: Path, console: Console, *, every_s: float) -> None:
    """Watch a run folder or an event log until its run is over or Ctrl-C; looks anew every ``every_s``.

    Raises ``InputError`` where there is no event log.
    """
    log = event_log(run)
    try:
        asyncio.run(_watch(run, log, console, every_s))
    except KeyboardInterrupt:
        console.print("watching no more; the run is left as it is", highlight=False)


async def _watch(run: Path, log: Path, console: Console, every_s: float) -> None:
    while True:
        ending = await _watch_log(run, log, console, every_s)
        newest = _newest(run, log)
        if newest == log:
            console.print(f"{log.name}: {ending}", highlight=False, markup=False, soft_wrap=True)
            return
        log = newest
        console.print(
            f"the run was resumed: following {log.name}", highlight=False, markup=False, soft_wrap=True
        )


async def _watch_log(run: Path, log: Path, console: Console, every_s: float) -> str:
    """Watch one log until it has ended, or another has taken its place; says how it ended."""
    follower = LogFollower(log)
    live = LiveRun(await follower.header())
    reading = asyncio.create_task(_read(follower, live))
    try:
        with _Screen(console, str(log)) as screen:
            while not reading.done() and _newest(run, log) == log:
                await asyncio.wait([reading], timeout=every_s)
                screen.show(live, follower)
        if reading.done():
            reading.result()
        return follower.ending or "goes on in another attempt"
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        follower.close()


async def _read(follower: LogFollower, live: LiveRun) -> None:
    async for batch in follower.batches():
        for event in batch.events:
            live.emit(event)
        live.advance(batch.until)


def _newest(run: Path, log: Path) -> Path:
    """The log of the run's last attempt; ``log`` where none is to be found any more."""
    try:
        return event_log(run)
    except InputError:
        return log


class _Screen:
    """Shows a run where it stands: in place on a terminal, elsewhere as a line."""

    def __init__(self, console: Console, source: str) -> None:
        self._console = console
        self._source = source
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> "_Screen":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, run: LiveRun, follower: LogFollower) -> None:
        status = _status(run, follower)
        if self._console.is_terminal:
            picture = render_run(run, source=self._source, status=status, size=self._console.size)
            self._live.update(picture, refresh=True)
        elif follower.share_read == 1.0 or follower.ending is not None:
            self._console.print(Text(f"{line(run)} ({status})"), highlight=False, soft_wrap=True)


def _status(run: LiveRun, follower: LogFollower) -> str:
    """How far the run has been followed."""
    if follower.ending is not None:
        said = str(follower.ending)
    elif follower.share_read < 1.0:
        said = f"reading, {follower.share_read:.0%}"
    else:
        header = run.header
        behind_s = time.time() - (header.wall_ns + run.now - header.t) / 1e9
        said = "now" if behind_s < _BEHIND_S else f"nothing new for {behind_s:,.0f} s"
    return said + (f", {follower.lost:,} events are missing" if follower.lost else "")
