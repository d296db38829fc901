"""``headway curves``, from its options to its tables and files."""

import json
from pathlib import Path
from xml.etree import ElementTree

from typer.testing import CliRunner, Result

from headway.cli.app import app
from headway.errors import InputError

METRICS = {"pass_at_1": 0.5, "tool_error_in_correct": 0.25, "response_tokens": 60.0}


def make_run(folder: Path, name: str, seed: int, gain: float, *, complete: bool = True) -> Path:
    run = folder / f"{name}-{seed}"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"name": name, "grpo": {"seed": seed}}))
    (run / "summary.json").write_text(json.dumps({"complete": complete}))
    with (run / "metrics.jsonl").open("w") as lines:
        for step in range(0, 40, 2):
            measures = {key: value * (1 + gain * step + seed / 1000) for key, value in METRICS.items()}
            record = {"kind": "eval", "step": step, "measures": measures}
            lines.write(json.dumps(record) + "\n")
    return run


def curves(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["curves", *map(str, arguments)])


def test_two_variants_are_compared_drawn_and_written(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, "grpo", seed, 0.01) for seed in (1, 2, 3)]
    runs += [make_run(tmp_path, "roc", seed, 0.02 + seed / 10_000, complete=seed < 3) for seed in (1, 2, 3)]
    svg, found = tmp_path / "curves.svg", tmp_path / "curves.json"
    done = curves(*runs, "--out", svg, "--json", found)
    assert done.exit_code == 0, done.output
    assert "held-out pass@1" in done.output
    assert "roc − grpo" in done.output
    assert "'roc' against 'grpo': 3 seeds in common" in done.output
    assert "2.5 times its standard deviation" in done.output
    assert "roc-3 is not finished" in done.output
    assert "\n   38 " in done.output
    assert "\n   36 " not in done.output  # at most twelve rows a table
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    report = json.loads(found.read_text())
    assert [metric["metric"] for metric in report["metrics"]] == [f"eval/measures/{key}" for key in METRICS]
    last = report["metrics"][0]["curves"][1]["differences"][-2]
    assert last["step"] == 38
    assert last["low"] < last["value"] < last["high"]


def test_one_seed_has_no_interval_and_that_is_said(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, name, 1, 0.01) for name in ("a", "b")]
    done = curves(*runs, "--baseline", "b", "--metric", "eval/measures/response_tokens")
    assert "a − b" in done.output
    assert "'a' against 'b': 1 seed in common, so that any difference may be luck" in done.output
    assert "pass@1" not in done.output


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    done = curves(tmp_path)
    assert isinstance(done.exception, InputError)
    assert "no run folder of a training" in str(done.exception)
