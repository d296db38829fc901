import json
import math
from pathlib import Path

import msgspec
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from headway.errors import HeadwayError
from headway.trainer.metrics_log import MetricsLog


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
