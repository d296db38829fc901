"""The page and the trace in a real browser, as a user opens them. Chromium is Debian's package."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from headway.profiles.profile import Profile
from headway.profiles.report.page import html_page
from headway.profiles.report.perfetto import write_perfetto
from headway.profiles.timeline import Timeline
from headway.scheduler import events as ev
from tests.profiles.report.made_up import END, S, made_up_run, profiled, record
from tests.profiles.report.perfetto_ui import open_trace, perfetto_ui, query

pytestmark = pytest.mark.browser

ENGINES = ["engine-0", "engine-1"]
HOSTILE = "<script>document.title='taken'</script><img src=x onerror=document.title='taken'>\"'\u202e"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("pages are not looked at: no chromium is here (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return record(folder / "events.jsonl", made_up_run(60, engines=ENGINES), engines=ENGINES)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of which no script fails, and that asks nobody for anything."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    assert not said
    assert all(url.startswith("file:") and url.endswith(".html") for url in asked), asked
    page.close()


def shown(page: Page, folder: Path, profile: Profile, timeline: Timeline) -> Page:
    file = folder / "profile.html"
    file.write_text(html_page(profile, timeline), encoding="utf-8")
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
    return page


def test_the_bars_sum_to_the_whole_and_the_engines_are_named(page: Page, log: Path, tmp_path: Path) -> None:
    shown(page, tmp_path, *profiled(log))
    for bar in page.locator("#fleet svg, #engine-bars svg").all():
        width, *parts = bar.evaluate(
            "bar => [bar, ...bar.children].map(part => part.getBoundingClientRect().width)"
        )
        assert sum(parts) == pytest.approx(width, abs=0.01)
    assert page.locator("#engine-bars .name").all_text_contents() == ENGINES


def test_a_cause_that_is_pointed_at_stands_out_and_says_what_it_means(
    page: Page, log: Path, tmp_path: Path
) -> None:
    shown(page, tmp_path, *profiled(log))
    page.locator("#legend [data-cause=tool_wait]").hover()
    assert "trajectories are in their tools" in page.locator("#tip").inner_text()
    assert page.locator("#engine-bars .part.dim[data-cause=busy]").count() == len(ENGINES)
    assert not page.locator("#engine-bars .part.dim[data-cause=tool_wait]").count()


def test_a_click_on_a_trajectory_shows_its_life(page: Page, log: Path, tmp_path: Path) -> None:
    profile, timeline = profiled(log)
    shown(page, tmp_path, profile, timeline)
    listed = page.locator("#list .row")
    assert listed.first.get_attribute("data-id") == profile.slowest[0].id
    second = listed.nth(1)
    second.click()
    life = profile.slowest[1]
    assert page.locator("#life").get_attribute("data-id") == life.id
    assert second.get_attribute("aria-selected") == "true"
    kinds = page.locator("#life .piece").evaluate_all("pieces => pieces.map(piece => piece.dataset.kind)")
    assert set(kinds) == {"wait", "generating", "tool"}
    assert kinds.count("tool") == life.turns - 1
    share = life.spent["generating"] / (life.end_ns - life.start_ns)
    legend = " ".join(page.locator("#life .legend").all_inner_texts())
    parts = {name: float(figure) for name, figure in re.findall(r"(decode|prefill)\s+([\d.]+)%", legend)}
    assert sum(parts.values()) == pytest.approx(share * 100, abs=1)
    assert page.locator("#life tr").count() == life.turns + 1


def test_a_trajectory_is_found_by_its_id(page: Page, log: Path, tmp_path: Path) -> None:
    shown(page, tmp_path, *profiled(log))
    page.locator("#search").fill("G3.1")
    assert [row.get_attribute("data-id") for row in page.locator("#list .row").all()] == ["g3.1"]
    assert page.locator("#found").inner_text() == "1 of 60 trajectories"


def stretch(page: Page) -> tuple[float, float]:
    start, end = page.locator("#chart").evaluate("chart => [chart.dataset.start, chart.dataset.end]")
    return float(start), float(end)


def test_wheel_and_drag_zoom_and_a_double_click_shows_the_whole_again(
    page: Page, log: Path, tmp_path: Path
) -> None:
    shown(page, tmp_path, *profiled(log))
    page.locator("#chart").scroll_into_view_if_needed()
    box = page.locator("#chart").bounding_box()
    assert box
    whole = stretch(page)
    assert whole[0] == 0
    drawn = page.locator("#base").evaluate("canvas => canvas.toDataURL()")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.mouse.wheel(0, -400)
    page.wait_for_function("whole => document.getElementById('chart').dataset.end < whole", arg=whole[1])
    wheeled = stretch(page)
    assert 0 < wheeled[0] < wheeled[1] < whole[1]
    assert page.locator("#base").evaluate("canvas => canvas.toDataURL()") != drawn
    page.mouse.move(box["x"] + 400, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 60, steps=3)
    page.mouse.up()
    dragged = stretch(page)
    assert wheeled[0] < dragged[0] < dragged[1] < wheeled[1]
    page.mouse.dblclick(box["x"] + 400, box["y"] + 5)
    assert stretch(page) == whole


def test_a_click_on_an_engine_lists_who_was_on_it_then(page: Page, log: Path, tmp_path: Path) -> None:
    profile, timeline = profiled(log)
    shown(page, tmp_path, profile, timeline)
    page.locator("#chart").scroll_into_view_if_needed()
    box = page.locator("#chart").bounding_box()
    assert box
    page.mouse.move(box["x"] + 300, box["y"] + 90)
    assert page.locator("#tip").inner_text().startswith("engine-")
    page.mouse.click(box["x"] + 300, box["y"] + 90)
    said = re.fullmatch(r"on (engine-\d) at (\d+):(\d+\.\d) ✕", page.locator("#moment").inner_text())
    assert said
    engine, t = said[1], (int(said[2]) * 60 + float(said[3])) * S
    turns, engines = timeline.lives.turns, list(timeline.lives.engines)
    there = {
        timeline.lives.ids[turns["life"][turn]]
        for turn in range(len(turns))
        if engines[turns["engine"][turn]] == engine and turns["dispatched"][turn] <= t < turns["end"][turn]
    }
    assert {row.get_attribute("data-id") for row in page.locator("#list .row").all()} == there


def test_hostile_names_stay_text(page: Page, tmp_path: Path) -> None:
    events = made_up_run(4, engines=[HOSTILE], turns=2, tool=HOSTILE, ids=HOSTILE + "{group}.{sibling}")
    log = record(tmp_path / "events.jsonl", events, engines=[HOSTILE], name=HOSTILE)
    shown(page, tmp_path, *profiled(log))
    page.locator("#list .row").first.click()
    page.locator("#life .piece[data-kind=tool]").first.hover()
    assert "<script>" in page.locator("#tip").inner_text()
    assert page.locator("#life h3").inner_text().startswith("<script>document.title")
    assert page.locator("img").count() == 0
    assert page.title().startswith("headway profile")


def test_a_run_of_45_000_trajectories_is_a_page_below_15_mb_that_loads(
    page: Page, tmp_path: Path, log: Path
) -> None:
    engines = [f"engine-{number}" for number in range(16)]
    timeline = Timeline(engines, 0)
    for event in made_up_run(45_000, engines=engines):
        if isinstance(event, ev.EngineLoad | ev.PhaseChanged):
            timeline.emit(event)
        else:
            timeline.lives.emit(event)  # without the levels, which take as long as all the rest
    timeline.finish(END)
    shown(page, tmp_path, profiled(log)[0], timeline)
    assert (tmp_path / "profile.html").stat().st_size < 15_000_000
    assert page.locator("#found").inner_text() == "45,000 trajectories"
    page.locator("#list").evaluate("list => list.scrollTop = list.scrollHeight")
    page.locator("#search").fill("g5624.7")
    page.locator("#list .row[data-id='g5624.7']").click()
    assert page.locator("#life tr").count() == 6


def test_perfetto_opens_the_trace_and_its_sql_gives_the_attribution_exactly(
    browser: Browser, log: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "run.pftrace"
    write_perfetto(trace, log)
    page = browser.new_page()
    with perfetto_ui(trace) as address:
        open_trace(page, address)
        rows = query(
            page,
            "select g.name, s.name, sum(s.dur) from slice s join track t on s.track_id = t.id "
            "join track g on t.parent_id = g.id where t.name = 'cause' group by 1, 2",
        )
        problems = query(
            page,
            "select name, value from stats where severity in ('error', 'data_loss') and value > 0 "
            "union all select 'open slices', count(*) from slice where dur < 0 having count(*) > 0",
        )
        (flows,) = query(page, "select count(*) from flow")[0]
        page.close()
    profile, _ = profiled(log)
    assert rows == sorted(
        [engine.id, cause, ns] for engine in profile.engines for cause, ns in engine.causes.items()
    )
    assert not problems
    assert flows == sum(life.turns - 1 for life in profile.slowest) * 2
