"""``headway profile``, from its arguments to its tables and files."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headway.cli.app import app
from headway.errors import InputError
from tests.profiles.test_profiler import recorded


def profile(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["profile", *map(str, arguments)])


def test_a_run_is_profiled_shown_and_written(tmp_path: Path) -> None:
    recorded(tmp_path / "events.jsonl")
    files = [tmp_path / name for name in ("profile.json", "profile.html", "profile.pftrace")]
    done = profile(tmp_path, "--json", files[0], "--html", files[1], "--perfetto", files[2])
    assert done.exit_code == 0, done.output
    for words in ("engine-seconds idle", "tool wait", "slowest trajectories", "by stage of the work", "g1.0"):
        assert words in done.output
    told = json.loads(files[0].read_text())
    for engine in told["engines"]:
        assert sum(engine["causes"].values()) == told["wall_ns"]
    assert files[1].read_text().startswith("<!doctype html>")
    assert files[2].stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["none"], "none: there is no such run folder or event log"),
        (["http://a/metrics", "run"], "addresses of servers are watched on their own"),
        (["run", "other"], "other: one run or event log at a time"),
        (["run", "--live", "--html", "x.html"], "--live only shows"),
    ],
)
def test_bad_input_says_what_to_give(tmp_path: Path, arguments: list[str], wrong: str) -> None:
    done = profile(*arguments)
    assert isinstance(done.exception, InputError)
    assert wrong in str(done.exception)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    log = recorded(tmp_path / "events.jsonl")
    log.write_text(log.read_text().replace("g1.0", "[bold]x[/bold]<script>"))
    done = profile(log)
    assert done.exit_code == 0, done.output
    assert "[bold]x[/bold]<script>" in done.output
