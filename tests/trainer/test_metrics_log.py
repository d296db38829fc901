import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import headway
from headway.errors import HeadwayError, InputError
from headway.trainer.collector import Rejections
from headway.trainer.grpo import GrpoStep
from headway.trainer.measures import RolloutMeasures
from headway.trainer.metrics_log import MetricsLog, check_log
from headway.trainer.step_report import StepReport


class Inner(msgspec.Struct):
    share: float


class Record(msgspec.Struct):
    loss: float
    tokens: int
    inner: Inner | None = None
    note: str = "-"


def test_a_record_is_one_line_and_one_set_of_scalars_under_the_same_names(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.write(1, "step", Record(0.5, 3, Inner(0.25)))
    log.write(2, "step", Record(math.nan, 4))
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    first = {"loss": 0.5, "tokens": 3, "inner": {"share": 0.25}, "note": "-"}
    assert lines[0] == {"kind": "step", "step": 1, **first}
    assert lines[1]["loss"] is None
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert sorted(board.Tags()["scalars"]) == ["step/inner/share", "step/loss", "step/tokens"]
    assert [(event.step, event.value) for event in board.Scalars("step/tokens")] == [(1, 3.0), (2, 4.0)]
    assert [event.value for event in board.Scalars("step/inner/share")] == [0.25]


def test_everything_is_on_the_disk_when_write_returns(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.write(1, "eval", Record(0.5, 3))
    assert (tmp_path / "metrics.jsonl").read_text().endswith("}\n")
    assert EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("eval/loss")


@pytest.mark.parametrize("full", ["metrics.jsonl", "tensorboard"])
def test_a_full_disk_is_one_error_that_names_the_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], full: str
) -> None:
    log = MetricsLog(tmp_path)
    path = tmp_path / full
    if path.is_dir():
        (path,) = path.iterdir()
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/full")
    with pytest.raises(HeadwayError, match=f"{tmp_path}: cannot write the metrics: No space left"):
        log.write(1, "step", Record(0.5, 3))
    log.close()
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(HeadwayError, match="gone: cannot write the metrics: No such file"):
        MetricsLog(tmp_path / "gone")


def test_only_the_logs_that_are_asked_for_are_written(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, ["jsonl"])
    log.write(1, "step", Record(0.5, 3))
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
    (tmp_path / "board").mkdir()
    log = MetricsLog(tmp_path / "board", ["tensorboard"])
    log.write(1, "step", Record(0.5, 3))
    assert [path.name for path in (tmp_path / "board").iterdir()] == ["tensorboard"]


WANDB = importlib.util.find_spec("wandb") is not None


@pytest.mark.skipif(WANDB, reason="wandb is installed here")
def test_wandb_is_missed_only_where_it_is_asked_for(tmp_path: Path) -> None:
    check_log(["jsonl", "tensorboard"])
    with pytest.raises(InputError, match="wandb is not installed; `pip install wandb`"):
        check_log(["jsonl", "wandb"])
    with pytest.raises(InputError, match="wandb is not installed"):
        MetricsLog(tmp_path, ["wandb"])


@pytest.mark.skipif(not WANDB, reason="needs wandb, which only those who ask for it install")
def test_wandb_keeps_an_offline_run_in_the_folder(tmp_path: Path) -> None:
    """In a process of its own, because wandb reads its environment as it is imported."""
    script = (
        "import msgspec, pathlib, sys\n"
        "from headway.trainer.metrics_log import MetricsLog\n"
        "Record = msgspec.defstruct('Record', [('loss', float)])\n"
        "log = MetricsLog(pathlib.Path(sys.argv[1]), ['jsonl', 'wandb'], {'model': 'tiny'})\n"
        "log.write(1, 'step', Record(0.25))\n"
        "log.write(1, 'eval', Record(0.5))\n"
        "log.close()\n"
    )
    environment = {**os.environ, "WANDB_MODE": "offline"}
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (run,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert b"step/loss" in run.read_bytes()
    assert b"eval/loss" in run.read_bytes()


def test_every_metric_in_the_documentation_is_logged_under_its_name() -> None:
    text = (Path(headway.__file__).parent.parent / "docs" / "runs.md").read_text()
    documented = set(re.findall(r"`(step/[\w/]+)`", text))
    parts = {"": GrpoStep, "measures/": RolloutMeasures, "update/": StepReport, "rejections/": Rejections}
    logged = {f"step/{part}{name}" for part, kind in parts.items() for name in kind.__struct_fields__}
    assert documented <= logged
    assert logged - documented <= {f"step/update/{name}" for name in StepReport.__struct_fields__} | {
        "step/step",
        "step/stage",
        "step/measures",
        "step/update",
        "step/rejections",
    }
