"""Adds up what the pages of many engines say into one profile of the watch.

Invariant: a page that cannot be read changes nothing for the engines of the others. Knows nothing of HTTP.
"""

from collections import Counter
from collections.abc import Iterable

from .engine_account import EngineAccount
from .engine_counts import EngineCounts
from .exposition import Reading
from .figures import EngineFigures, PageFigures
from .findings import find
from .foreign_profile import ForeignProfile
from .unknowable import UNKNOWABLE

_LATE = 3.0  # times the interval: readings further apart do not tell what was between them
_Key = tuple[str, str]  # the page, and the engine on it


class FleetAccount:
    """Takes what came of reading each page, in order of time (nanoseconds)."""

    def __init__(self, pages: Iterable[str], start: int, *, every_s: float) -> None:
        self._start = self._now = start
        self._every_s = every_s
        self._pages = {page: _Page() for page in pages}
        self._accounts: dict[_Key, EngineAccount] = {}
        self._counts: dict[_Key, EngineCounts] = {}

    def take(self, page: str, readings: list[Reading], now: int) -> None:
        """Take the engines of a page, all read at once."""
        self._now = now
        self._pages[page].readings += 1
        self._miss(page, now, but={reading.engine for reading in readings})
        found = {(page, reading.engine): reading for reading in readings}
        last = {key: account.last for key, account in self._accounts.items()}
        waiting = Counter[str]()
        for reading in {**last, **found}.values():
            if reading is not None:
                waiting[reading.model] += reading.waiting
        for key, reading in found.items():
            account = self._account(key)
            account.take(reading, now, others_wait=waiting[reading.model] > reading.waiting)
            self._counts[key].take(reading, now)

    def miss(self, page: str, failure: str, now: int) -> None:
        """A page could not be read."""
        self._now = now
        self._pages[page].fail(failure)
        self._miss(page, now)

    def running(self) -> int:
        """Requests that ran when their engines were last seen."""
        return sum(account.last.running for account in self._accounts.values() if account.last)

    def waiting(self) -> int:
        """The same of those that waited in engines."""
        return sum(account.last.waiting for account in self._accounts.values() if account.last)

    def profile(self, now: int) -> ForeignProfile:
        """The watch up to ``now``; more may be taken later."""
        self._now = max(self._now, now)
        engines = [self._figures(key) for key in sorted(self._accounts, key=_in_order)]
        return ForeignProfile(
            wall_ns=self._now - self._start,
            every_s=self._every_s,
            engines=engines,
            pages=[page.figures(url) for url, page in self._pages.items()],
            findings=find(engines),
            unknowable=list(UNKNOWABLE),
        )

    def _account(self, key: _Key) -> EngineAccount:
        if key not in self._accounts:
            longest_ns = round(_LATE * self._every_s * 1e9)
            self._accounts[key] = EngineAccount(self._start, longest_ns=longest_ns)
            self._counts[key] = EngineCounts()
        return self._accounts[key]

    def _miss(self, page: str, now: int, *, but: Iterable[str] = ()) -> None:
        for (of, engine), account in self._accounts.items():
            if of == page and engine not in but:
                account.miss(now)

    def _id(self, key: _Key) -> str:
        page, engine = key
        alone = sum(of == page for of, _ in self._accounts) == 1
        short = page.removeprefix("http://").removeprefix("https://").removesuffix("/metrics")
        return short if alone else f"{short} engine {engine}"

    def _figures(self, key: _Key) -> EngineFigures:
        account, counts = self._accounts[key], self._counts[key]
        gained = counts.gained
        return EngineFigures(
            id=self._id(key),
            model=account.model,
            states=account.states(self._now),
            mean_running=account.mean_running,
            most_running=account.most_running,
            most_kv_usage=account.most_kv_usage,
            generated=round(gained["generated"]),
            generated_per_s=counts.per_s("generated"),
            prompt_per_s=counts.per_s("prompt"),
            hit_rate=counts.share("hit", "queried"),
            preemptions=round(gained["preemptions"]),
            finished=round(gained["finished"]),
            tokens_per_step=counts.share("step_tokens", "steps"),
            latencies=counts.latencies(),
            restarts=counts.restarts,
            apart_ns=account.apart_ns,
            unnoticed_ns=account.unnoticed_ns,
        )


def _in_order(key: _Key) -> tuple[str, int, str]:
    page, engine = key
    return page, len(engine), engine  # they are numbers


class _Page:
    """How reading a page goes."""

    def __init__(self) -> None:
        self.readings = self.failed = 0
        self.failure: str | None = None

    def fail(self, failure: str) -> None:
        self.failed += 1
        self.failure = failure

    def figures(self, url: str) -> PageFigures:
        return PageFigures(url=url, readings=self.readings, failed=self.failed, failure=self.failure)
