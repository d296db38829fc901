"""A run folder, read for its curves."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headway.errors import InputError
from headway.trainer.curves import read_run
from headway.trainer.metrics_log import MetricsLog


class Measures(msgspec.Struct):
    pass_at_1: float


class Record(msgspec.Struct):
    n: int
    measures: Measures
    skipped: bool | None = None


def make_run(folder: Path, *, config: dict[str, Any] | None = None) -> Path:
    folder.mkdir()
    config = {"name": "roc", "grpo": {"seed": 3, "steps": 50}} if config is None else config
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "summary.json").write_text('{"complete": true}')
    log = MetricsLog(folder, ["jsonl"])
    log.write(0, "eval", Record(8, Measures(0.5)))
    log.write(1, "step", Record(4, Measures(0.25), skipped=True))
    return folder


def test_what_a_training_logs_becomes_curves(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run"))
    assert (run.variant, run.seed, run.complete) == ("roc", 3, True)
    assert run.settings == {"grpo.steps": "50"}
    assert run.curves == {
        "eval/n": {0: 8.0},
        "eval/measures/pass_at_1": {0: 0.5},
        "step/n": {1: 4.0},
        "step/measures/pass_at_1": {1: 0.25},
        "step/skipped": {1: 1.0},
    }


def test_a_run_that_goes_on_is_read_as_far_as_it_came(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "summary.json").write_text('{"complete": false}')
    with (folder / "metrics.jsonl").open("a") as lines:
        lines.write('{"kind": "step", "step": 1, "n": 5}\n{"kind": "step", "st')
    run = read_run(folder)
    assert not run.complete
    assert run.curves["step/n"] == {1: 5.0}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metrics.jsonl", None, "no run folder of a training; there is no metrics.jsonl"),
        ("metrics.jsonl", "{}\n", "metrics.jsonl:1: not a line of metrics"),
        ("metrics.jsonl", '{"kind": "step", "step": "one"}\n', "metrics.jsonl:1: not a line of metrics"),
        ("metrics.jsonl", "\n", "metrics.jsonl:1: not a line of metrics"),
        ("config.json", None, "config.json: cannot be read"),
        ("config.json", "[]", "config.json: cannot be read"),
        ("config.json", '{"name": "rollout"}', "it lacks name or grpo.seed"),
        ("summary.json", "{", "summary.json: cannot be read"),
    ],
)
def test_what_is_no_run_is_named(tmp_path: Path, file: str, content: str | None, message: str) -> None:
    folder = make_run(tmp_path / "run")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(InputError, match=message):
        read_run(folder)
