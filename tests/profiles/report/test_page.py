import base64
import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headway.profiles.cause import Cause
from headway.profiles.profile import Finding, Profile
from headway.profiles.report.bars import WHOLE, stacked_bar
from headway.profiles.report.causes import MEANINGS, ORDER
from headway.profiles.report.page import html_page
from headway.profiles.report.payload import payload
from headway.profiles.report.text import visible
from headway.profiles.timeline import Timeline
from headway.scheduler import events as ev
from tests.profiles.report.made_up import ended, made_up_run, profiled, record

ENGINES = ["engine-0", "engine-1"]
HOSTILE = "</script><script>alert(1)</script>\"'&\u202etxt\x00"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Profile, Timeline]:
    log = tmp_path_factory.mktemp("run") / "events.jsonl"
    return profiled(record(log, made_up_run(20, engines=ENGINES), engines=ENGINES))


def decoded(text: str) -> tuple[dict[str, Any], bytes]:
    packed = zlib.decompress(base64.b64decode(text))
    length = int.from_bytes(packed[:4], "little")
    return json.loads(packed[4 : 4 + length]), packed[4 + length :]


def column(header: dict[str, Any], data: bytes, name: str) -> list[float | None]:
    of = header["columns"][name]
    values = np.frombuffer(data, "<" + of["type"], of["count"], of["at"])
    absent = np.iinfo(of["type"]).max
    return [None if value == absent else float(value) * of["scale"] for value in values]


def test_the_parts_of_every_bar_sum_to_the_whole(run: tuple[Profile, Timeline]) -> None:
    page = html_page(*run)
    bars = re.findall(r'<svg class="bar".*?</svg>', page)
    assert len(bars) > len(ENGINES)
    for bar in bars:
        parts = [(int(x), int(width)) for x, width in re.findall(r' x="(\d+)" width="(\d+)"', bar)]
        assert parts[0][0] == 0
        assert sum(width for _, width in parts) == WHOLE


def test_exact_figures_are_in_the_table(run: tuple[Profile, Timeline]) -> None:
    page = html_page(*run)
    for engine in run[0].engines:
        for ns in engine.causes.values():
            assert f"<td>{ns:,}</td>" in page
    assert page.count(f"<td>{run[0].wall_ns:,}</td>") == len(ENGINES)


def test_a_sliver_of_time_leaves_a_bar_whole() -> None:
    bar = stacked_bar({"busy": 1, "no_work": 10**15, "kv_full": 1}, "a")
    assert sum(map(int, re.findall(r' width="(\d+)"', bar))) == WHOLE


def test_every_cause_has_its_colour_in_light_and_dark_its_place_and_its_words(
    run: tuple[Profile, Timeline],
) -> None:
    page = html_page(*run)
    assert set(ORDER) == set(Cause) == set(MEANINGS)
    for cause in Cause:
        assert page.count(f" --{cause}: #") == 2


def test_names_are_escaped_and_what_would_act_in_them_is_shown_by_its_code(tmp_path: Path) -> None:
    events = made_up_run(3, engines=[HOSTILE], turns=2, tool=HOSTILE, ids=HOSTILE + "{group}.{sibling}")
    log = record(tmp_path / "events.jsonl", events, engines=[HOSTILE], name=HOSTILE)
    profile, timeline = profiled(log)
    page = html_page(profile, timeline)
    assert page.count("<script") == page.count("</script") == 2
    assert "alert(1)</script>" not in page
    assert "\u202e" not in page
    assert "&lt;/script&gt;" in page
    header, _ = decoded(payload(timeline))
    assert header["engines"] == ["</script><script>alert(1)</script>\"'&⟨202E⟩txt⟨0000⟩"]
    assert all("⟨202E⟩" in id for id in header["ids"])


def test_ordinary_text_stays_as_it_is() -> None:
    assert visible("Élan 数学 é 🙂") == "Élan 数学 é 🙂"
    assert visible("a\nb\u2066c") == "a⟨000A⟩b⟨2066⟩c"


def test_the_policy_of_the_page_lets_its_own_script_run_and_nothing_be_loaded(
    run: tuple[Profile, Timeline],
) -> None:
    page = html_page(*run)
    script = page[page.rindex("<script>") + 8 : page.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}'" in page
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_findings_are_told_with_their_lever(run: tuple[Profile, Timeline]) -> None:
    profile, timeline = run
    assert profile.findings
    page = html_page(profile, timeline)
    for finding in profile.findings:
        assert isinstance(finding, Finding)
        assert f'class="lever">{finding.lever[:20]}' in page


def test_the_data_of_the_page_say_what_the_timeline_says(run: tuple[Profile, Timeline]) -> None:
    profile, timeline = run
    header, data = decoded(payload(timeline))
    assert header["ids"] == timeline.lives.ids
    assert header["wall_ns"] == profile.wall_ns
    shares = np.array(
        [[value or 0.0 for value in column(header, data, f"cause:{cause}")] for cause in header["causes"]]
    )
    assert shares.shape == (len(header["causes"]), len(ENGINES) * timeline.bins)
    assert np.allclose(shares.sum(axis=0)[: timeline.bins - 1], 1.0, atol=1e-4)
    lives, starts = column(header, data, "turns.life"), column(header, data, "turns.ready")
    assert lives == sorted(lives)
    ready = sorted(timeline.lives.turns["ready"])
    assert sorted(round(t * header["unit_ns"]) for t in starts if t is not None) == [
        pytest.approx(t, abs=header["unit_ns"]) for t in ready
    ]
    kv = [value for value in column(header, data, "kv") if value is not None]
    assert 0.4 < float(np.mean(kv)) < 0.6


def test_what_has_not_happened_is_absent(tmp_path: Path) -> None:
    events = [
        ev.TrajectoryStarted(t=1, trajectory="x", group="g", task="t"),
        ev.TurnReady(t=2, trajectory="x", turn=0, context=10),
        ev.TurnDispatched(t=3, trajectory="x", turn=0, engine="engine-0", reason="new"),
        ended(5_000, "x", 0, "engine-0", 10),
        ev.TurnReady(t=6_000, trajectory="x", turn=1, context=20),
        ev.TurnHeld(t=6_000, trajectory="x", reason="cap"),
    ]
    _, timeline = profiled(record(tmp_path / "events.jsonl", events, engines=ENGINES))
    header, data = decoded(payload(timeline))
    assert column(header, data, "lives.end") == [None]
    assert column(header, data, "lives.reward") == [None]
    assert column(header, data, "turns.end") == [5, None]
    assert column(header, data, "turns.engine") == [0, None]
    assert column(header, data, "holds.turn") == [1]


def test_a_run_without_any_event_has_a_page(tmp_path: Path) -> None:
    profile, timeline = profiled(record(tmp_path / "events.jsonl", [], engines=[]))
    assert "nothing was recorded" in html_page(profile, timeline)
