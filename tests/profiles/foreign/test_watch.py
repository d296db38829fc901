import asyncio

from headway.errors import HeadwayError
from headway.profiles.foreign.exposition import Reading
from headway.profiles.foreign.watch import watch
from headway.profiles.virtual_time import run_virtual

from .pages import RECORDED

SECOND = 10**9


class SlowPage:
    """A page that takes its time, and answers only in some seconds."""

    def __init__(self, url: str, *, takes_s: float, fails_from_s: float = float("inf")) -> None:
        self.url = url
        self._takes_s = takes_s
        self._fails_from_s = fails_from_s

    async def fetch(self) -> str:
        await asyncio.sleep(self._takes_s)
        if asyncio.get_running_loop().time() >= self._fails_from_s:
            raise HeadwayError("gone")
        return RECORDED


class Notes:
    """Keeps when each page was read, and when it could not be."""

    def __init__(self) -> None:
        self.read: dict[str, list[float]] = {}
        self.missed: dict[str, list[float]] = {}

    def take(self, page: str, readings: list[Reading], now: int) -> None:
        assert readings
        self.read.setdefault(page, []).append(now / SECOND)

    def miss(self, page: str, failure: str, now: int) -> None:
        assert failure == "gone"
        self.missed.setdefault(page, []).append(now / SECOND)


def test_each_page_is_read_in_its_time_and_as_the_watch_ends() -> None:
    notes = Notes()
    pages = [SlowPage("quick", takes_s=0.0), SlowPage("slow", takes_s=2.5)]
    run_virtual(watch(pages, notes, every_s=2.0, seconds=9.0))
    assert notes.read == {"quick": [0, 2, 4, 6, 8, 9], "slow": [2.5, 6.5, 10.5]}


def test_a_page_that_is_gone_is_tried_on_and_holds_no_other_up() -> None:
    notes = Notes()
    pages = [SlowPage("lost", takes_s=0.5, fails_from_s=2.0), SlowPage("there", takes_s=0.0)]
    run_virtual(watch(pages, notes, every_s=1.0, seconds=3.0))
    assert notes.read == {"lost": [0.5, 1.5], "there": [0, 1, 2, 3]}
    assert notes.missed == {"lost": [2.5, 3.5]}


def test_a_page_that_is_not_vllms_is_a_reading_that_failed() -> None:
    class Other(SlowPage):
        async def fetch(self) -> str:
            return "<html>"

    class Failures(Notes):
        def miss(self, page: str, failure: str, now: int) -> None:
            assert "no vllm:num_requests_running" in failure
            self.missed.setdefault(page, []).append(now / SECOND)

    notes = Failures()
    run_virtual(watch([Other("other", takes_s=0.0)], notes, every_s=1.0, seconds=1.0))
    assert notes.missed == {"other": [0, 1]}


def test_without_a_time_it_goes_on_until_it_is_cancelled() -> None:
    notes = Notes()

    async def for_a_while() -> None:
        watching = asyncio.create_task(
            watch([SlowPage("page", takes_s=0.0)], notes, every_s=1.0, seconds=None)
        )
        await asyncio.sleep(100.5)
        watching.cancel()
        await asyncio.wait([watching])
        assert watching.cancelled()

    run_virtual(for_a_while())
    assert len(notes.read["page"]) == 101
