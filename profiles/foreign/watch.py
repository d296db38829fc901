"""Reads the pages of engines again and again, each on its own, for a time or until it is cancelled.

Invariants: a page that is slow or gone holds no other up; no page is asked again before it has answered; the
last readings are taken as the time ends. Knows nothing of HTTP, nor of what readings come to.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from headway.errors import HeadwayError
from headway.scheduler.events import now_ns

from .exposition import Reading, read_exposition


class Page(Protocol):
    """Where text of metrics comes from; ``fetch`` raises ``HeadwayError`` and has a limit of its own."""

    @property
    def url(self) -> str:
        """Its name."""
        ...

    async def fetch(self) -> str:
        """The text as it is now."""
        ...


class Readings(Protocol):
    """Takes what came of reading pages, in order; times are nanoseconds on the event loop's clock."""

    def take(self, page: str, readings: list[Reading], now: int) -> None:
        """Take the engines of a page."""
        ...

    def miss(self, page: str, failure: str, now: int) -> None:
        """Take in that a page could not be read."""
        ...


async def watch(pages: Sequence[Page], readings: Readings, *, every_s: float, seconds: float | None) -> None:
    """Read every page once in ``every_s``, for so many ``seconds``, or until cancelled where that is None."""
    start = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for page in pages:
            group.create_task(_watch(page, readings, start=start, every_s=every_s, seconds=seconds))


async def _watch(
    page: Page, readings: Readings, *, start: float, every_s: float, seconds: float | None
) -> None:
    loop = asyncio.get_running_loop()
    end = None if seconds is None else start + seconds
    due = start
    while True:
        await asyncio.sleep(due - loop.time())
        await _read(page, readings)
        now = loop.time()
        if end is not None and now >= end:
            return
        due = start + ((now - start) // every_s + 1) * every_s
        if end is not None:
            due = min(due, end)


async def _read(page: Page, readings: Readings) -> None:
    try:
        found = read_exposition(await page.fetch())
    except HeadwayError as error:
        readings.miss(page.url, str(error), now_ns())
    else:
        readings.take(page.url, found, now_ns())
