from html.parser import HTMLParser

from headway.profiles.bench.page import html_page
from headway.profiles.bench.report import Report, make_header, make_report, provenance

from .rows import HARDWARE, cell, measured

NAUGHTY = "<script>alert(1)</script>"


def report(policy: str) -> Report:
    arms = [
        measured(name, 100 + 10 * seed + 50 * (name != "headroom"), cell("math", pressure, seed=seed))
        for name in ("headroom", policy)
        for pressure in (0.5, 2.0)
        for seed in (0, 1)
    ]
    header = make_header(f"headway {NAUGHTY}", HARDWARE, kv_tokens=1000, notes=[f"a note {NAUGHTY}"])
    return make_report(header, arms, [], complete=True)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_else_and_names_are_escaped() -> None:
    page = html_page(report(NAUGHTY))
    tags = Tags()
    tags.feed(page)
    assert tags.links == []
    assert "script" not in tags.seen
    assert tags.seen.count("svg") == 1
    assert tags.seen.count("circle") == 4
    assert "url(" not in page
    assert "@import" not in page


def test_where_simulated_figures_come_from_stands_beside_the_table() -> None:
    made = report("static")
    assert "derived figures, not measured" in provenance(made.header)
    assert "derived figures, not measured" in html_page(made)
    assert "a note" in html_page(made)


def test_one_pressure_alone_can_be_drawn() -> None:
    arms = [measured("headroom", 120, cell())]
    header = make_header("headway", HARDWARE, kv_tokens=1000, notes=[])
    assert "<svg" in html_page(make_report(header, arms, [], complete=False))
