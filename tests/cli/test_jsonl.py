from pathlib import Path

import pytest

from headway.errors import HeadwayError
from headway.jsonl import JsonLines


@pytest.mark.parametrize("record", [{"text": "half \ud800"}, {"text": object()}])
def test_a_record_that_cannot_be_encoded_leaves_no_half_line(tmp_path: Path, record: object) -> None:
    lines = JsonLines(tmp_path / "file")
    lines.add({"n": 1})
    with pytest.raises((TypeError, ValueError)):
        lines.add(record)
    lines.add({"n": 2})
    lines.close()
    assert (tmp_path / "file").read_text() == '{"n":1}\n{"n":2}\n'


def test_a_file_that_is_there_is_kept_and_only_appended_to_when_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1\n")
    with pytest.raises(HeadwayError, match="cannot make the file: File exists"):
        JsonLines(tmp_path / "file")
    lines = JsonLines(tmp_path / "file", append=True)
    lines.add(2)
    lines.close()
    lines.close()
    assert (tmp_path / "file").read_text() == "1\n2\n"


def test_a_file_that_takes_no_more_is_named() -> None:
    lines = JsonLines(Path("/dev/full"), append=True)
    lines.add(1)
    with pytest.raises(HeadwayError, match="/dev/full: cannot write: No space left on device"):
        lines.flush()
