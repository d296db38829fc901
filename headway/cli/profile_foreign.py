"""Watches engines that headway does not schedule, by their /metrics alone, and prints what that tells.

Ctrl-C ends the watch and not the command: what was seen until then is printed.
"""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec
from rich.console import Console
from rich.markup import escape

from headway.errors import HeadwayError
from headway.profiles.foreign.endpoint import Endpoint, metrics_url
from headway.profiles.foreign.exposition import Reading
from headway.profiles.foreign.fleet_account import FleetAccount
from headway.profiles.foreign.foreign_profile import ForeignProfile
from headway.profiles.foreign.watch import watch
from headway.scheduler.events import now_ns

from .endings import try_all
from .output_file import write_json
from .profile_foreign_tables import print_foreign

TOKEN = "HEADWAY_METRICS_TOKEN"


def run_foreign(
    urls: Sequence[str], *, seconds: float | None, every_s: float, console: Console, json_file: Path | None
) -> None:
    """Watch for so many seconds, or until Ctrl-C where that is None; then print and write what was seen.

    A bearer token is taken from HEADWAY_METRICS_TOKEN. Raises ``InputError`` for an address that is none,
    and ``HeadwayError`` where no page could be read even once.
    """
    pages = list(dict.fromkeys(metrics_url(url) for url in urls))
    profile = asyncio.run(_watched(pages, seconds=seconds, every_s=every_s, console=console))
    if not profile.engines:
        raise HeadwayError(profile.verdict)
    told = {"verdict": profile.verdict, "coverage": profile.coverage, **msgspec.to_builtins(profile)}
    try_all(
        lambda: write_json(json_file, told) if json_file else None,
        lambda: print_foreign(console, profile),
    )


async def _watched(
    urls: list[str], *, seconds: float | None, every_s: float, console: Console
) -> ForeignProfile:
    account = FleetAccount(urls, now_ns(), every_s=every_s)
    with _Spoken(account, console, seconds) as spoken:
        async with aiohttp.ClientSession() as session:
            pages = [Endpoint(url, session, token=os.environ.get(TOKEN)) for url in urls]
            with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C
                await watch(pages, spoken, every_s=every_s, seconds=seconds)
            return account.profile(now_ns())


class _Spoken:
    """Passes readings on, and says how the watch goes: a line that moves, and what is lost or found."""

    def __init__(self, account: FleetAccount, console: Console, seconds: float | None) -> None:
        self._account = account
        self._console = console
        self._until = "until Ctrl-C" if seconds is None else f"for {seconds:g} s"
        self._start = now_ns()
        self._lost: set[str] = set()
        self._status = console.status("") if console.is_terminal else None

    def __enter__(self) -> "_Spoken":
        if self._status is not None:
            self._status.start()
        else:
            self._say(f"watching {self._until}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def take(self, page: str, readings: list[Reading], now: int) -> None:
        self._account.take(page, readings, now)
        if page in self._lost:
            self._lost.discard(page)
            self._say(f"{page}: answers")
        self._move(now)

    def miss(self, page: str, failure: str, now: int) -> None:
        self._account.miss(page, failure, now)
        if page not in self._lost:
            self._lost.add(page)
            self._say(f"{page}: {failure}; trying on")
        self._move(now)

    def _move(self, now: int) -> None:
        if self._status is not None:
            running, waiting = self._account.running(), self._account.waiting()
            seconds = (now - self._start) / 1e9
            self._status.update(
                f"watching {self._until}: {seconds:.0f} s, {running} requests run, {waiting} wait"
            )

    def _say(self, text: str) -> None:
        self._console.print(escape(text), highlight=False, soft_wrap=True)
