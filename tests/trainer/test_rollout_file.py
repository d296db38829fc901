from pathlib import Path

import msgspec
import pytest

from headway.errors import InputError
from headway.trainer.rollout_file import read_rollouts

from .records import rollout

LINE = msgspec.json.encode(rollout(reward=1.0, calls=".x")) + b"\n"


def test_records_come_back_as_they_were_and_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_bytes(LINE * 2 + LINE[:40])
    assert list(read_rollouts(file)) == [rollout(reward=1.0, calls=".x")] * 2


def test_any_other_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_bytes(LINE + b'{"id": 3}\n' + LINE)
    with pytest.raises(InputError, match=r"r.jsonl:2: not a rollout record: "):
        list(read_rollouts(file))
    with pytest.raises(InputError, match=r"gone.jsonl: cannot read the rollouts"):
        list(read_rollouts(tmp_path / "gone.jsonl"))
