"""The sandbox benchmark's command: tables, files, bad input, and Ctrl-C."""

import json
import math
import re
import signal
from pathlib import Path

import msgspec
import pytest

from headway.cli.bench_sandbox import Choice, make_plan
from headway.cli.bench_sandbox_tables import bar, strip
from headway.errors import InputError
from headway.sandbox.bench.summary import Latency

from .command import LIMIT_S, headway, no_process_left, spawn

KEYS = [
    "executor",
    "snippet",
    "outstanding",
    "calls",
    "lost",
    "calls_per_s",
    "mean_ms",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "cpu_ms_per_call",
]
TINY = [
    "--snippets", "light", "--executors", "headway,subprocess", "--workers", "2", "--outstanding", "2,5",
    "--calls", "4", "--load", "0.5",
]  # fmt: skip


def bench(tmp_path: Path, *more: str | Path):
    with no_process_left():
        done = headway("bench", "sandbox", *more, cwd=tmp_path)
    assert "Traceback" not in done.stderr
    return done


def test_a_tiny_benchmark_prints_tables_and_writes_its_files(tmp_path: Path) -> None:
    done = bench(tmp_path, *TINY, "--rounds", "2", "--json", "out.json", "--html", "out.html")
    assert done.returncode == 0, done.stderr
    for said in (
        "Calls per second",
        "Latency at Poisson arrivals",
        "Bursts of headway",
        "What isolation costs",
    ):
        assert said in done.stdout
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["complete"]
    assert written["header"]["command"].startswith("headway bench sandbox")
    assert written["header"]["tier"] in ("A", "B")
    rows = written["rows"]
    assert [list(row)[: len(KEYS)] for row in rows] == [KEYS] * 12
    assert sorted((row["mode"], row["executor"], row["round"]) for row in rows) == sorted(
        (mode, executor, number)
        for mode, executor in (
            ("closed", "headway"),
            ("closed", "subprocess"),
            ("closed", "bare fork"),
            ("open", "headway"),
            ("open", "subprocess"),
            ("burst", "headway"),
        )
        for number in (0, 1)
    )
    assert {row["calls"] for row in rows if row["mode"] != "burst"} == {4}
    assert {row["calls"] for row in rows if row["mode"] == "burst"} == {5}
    assert {row["lost"] for row in rows} == {0}
    assert all(row["cpu_ms_per_call"] >= 0 for row in rows)
    assert "<svg" in (tmp_path / "out.html").read_text()


def test_an_executor_that_cannot_keep_up_gets_no_open_loop(tmp_path: Path) -> None:
    tiny = [word for word in TINY if word not in ("--load", "0.5")]
    done = bench(tmp_path, *tiny, "--rounds", "1", "--rate", "1e6", "--json", "out.json")
    assert done.returncode == 0, done.stderr
    assert "only let its queue grow" in done.stdout
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert {row["mode"] for row in rows} == {"closed", "burst"}


def test_bad_input_is_said_in_one_line(tmp_path: Path) -> None:
    for wrong, said in (
        (["--snippets", "heavy"], "--snippets heavy: choose from light, numpy, sympy, mixed"),
        (["--json", "same", "--html", "same"], "--json and --html both name same"),
    ):
        done = bench(tmp_path, *wrong)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr


NOTHING = Choice(
    executors=None, snippets=None, outstanding=None, calls=None, rate=None, load=None, rounds=None, workers=2,
    seed=0, seconds=None, quick=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"snippets": ""}, "--snippets '': choose from"),
        ({"executors": "docker"}, "--executors docker: choose from headway, subprocess, bubblewrap"),
        ({"outstanding": "many"}, "--outstanding many: give whole numbers"),
        ({"outstanding": "1"}, "--outstanding 1: with 2 workers"),
        ({"seconds": math.nan}, "--seconds nan: give a number above 0"),
        ({"rate": -1.0}, "--rate -1: give a number above 0"),
        ({"load": 1.5}, "--load 1.5: give a share"),
        ({"rate": 5.0, "load": 0.5}, "give one of them"),
        ({"calls": 5, "seconds": 1.0}, "give one of them"),
    ],
)
def test_options_that_say_nothing_sensible_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        make_plan(msgspec.structs.replace(NOTHING, **wrong))


def test_defaults_are_filled_in() -> None:
    full, quick = make_plan(NOTHING), make_plan(msgspec.structs.replace(NOTHING, quick=True))
    assert (full.outstanding, full.rounds, full.load) == ([8, 1024], 3, 0.6)
    assert full.snippets == ["light", "numpy", "sympy", "mixed"]
    assert (quick.bursts, quick.rounds) == ([], 1)
    assert make_plan(msgspec.structs.replace(NOTHING, outstanding="45000,8")).bursts == [45_000]


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    with no_process_left():
        process = spawn(
            ["bench", "sandbox", *TINY, "--rounds", "100000", "--json", "out.json"],
            cwd=tmp_path,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if "measured" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert "Ended before everything was measured" in rest
    written = json.loads((tmp_path / "out.json").read_text())
    assert not written["complete"]
    assert written["rows"]


def test_a_bar_is_as_long_as_its_share() -> None:
    assert bar(8, 8, 4) == "████"
    assert bar(5, 8, 4) == "██▌ "
    assert bar(0, 8, 4) == "    "


def test_percentiles_stand_on_a_logarithmic_scale() -> None:
    def latency(curve: list[tuple[float, float]]) -> Latency:
        return Latency(
            snippet="light", executor="headway", rate=1, load=0.6, calls=9, lost=0, mean_ms=1, curve=curve
        )

    assert strip(latency([(50, 1.0), (95, 10.0), (99, 100.0)]), 1.0, 100.0, 9) == "●━━━┿━━━┤"
    assert strip(latency([(50, 10.0)]), 1.0, 100.0, 9) == "····●····"
    assert strip(latency([(100, 10.0)]), 1.0, 100.0, 9) == "·········"
    assert strip(latency([(50, 100.0), (95, 100.0)]), 1.0, 100.0, 9) == "········●"
