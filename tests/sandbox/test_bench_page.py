from html.parser import HTMLParser

from headway.sandbox.bench.page import html_page
from headway.sandbox.bench.report import Report, make_report
from headway.sandbox.bench.row import Mode

from .bench_rows import header, made

NAUGHTY = "<script>alert(1)</script>"
VOID = {"meta"}


def report(*, complete: bool = True) -> Report:
    taken = [
        made(executor, mode, snippet=snippet, number=number, calls=30)
        for executor in ("headway", "subprocess", "bubblewrap", "bare fork")
        for mode in (Mode.CLOSED, Mode.OPEN)
        for snippet in ("light", "numpy")
        for number in (0, 1)
        if (executor, mode) != ("bare fork", Mode.OPEN)
    ]
    return make_report(
        header(f"headway {NAUGHTY}"),
        [*taken, made(mode=Mode.BURST, outstanding=10)],
        [f"a note {NAUGHTY}"],
        complete=complete,
    )


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_text_is_escaped() -> None:
    page = html_page(report())
    tags = Tags()
    tags.feed(page)
    assert tags.open == tags.links == []
    assert "script" not in tags.seen
    assert "url(" not in page
    assert "@import" not in page


def test_every_snippet_has_its_bars_and_its_curves() -> None:
    page = html_page(report())
    tags = Tags()
    tags.feed(page)
    assert tags.seen.count("svg") == 4
    assert tags.seen.count("rect") == 6
    assert tags.seen.count("polyline") == 6
    assert tags.seen.count("circle") == 6 * 2  # p50 and p95 of 60 calls


def test_what_has_to_be_known_of_the_figures_is_said() -> None:
    page = html_page(report())
    for text in (
        "2 workers",
        "arrivals/s",
        "isolation tier A",
        "a processor",
        "a note",
        "What isolation costs",
    ):
        assert text in page
    assert "Ended before everything was measured" not in page
    assert "Ended before everything was measured" in html_page(report(complete=False))


def test_one_measurement_alone_can_be_drawn() -> None:
    for mode in Mode:
        assert "<h1>" in html_page(make_report(header(), [made(mode=mode, calls=1)], [], complete=False))
