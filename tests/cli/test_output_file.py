import json
import os
from pathlib import Path

import pytest

from headway.cli.output_file import writable, write_json
from headway.errors import HeadwayError, InputError


def test_a_place_that_takes_no_file_is_refused_before_the_work(tmp_path: Path) -> None:
    assert writable(None) is None
    assert writable(tmp_path / "new.json") == tmp_path / "new.json"
    with pytest.raises(InputError, match="is a folder"):
        writable(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        writable(tmp_path / "missing" / "new.json")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    write_json(file, [1])
    write_json(file, [2])
    assert json.loads(file.read_text()) == [2]
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_is_written_through_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_json(tmp_path / "link", {"a": 1})
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "target").read_text()) == {"a": 1}


def test_a_device_is_written_through() -> None:
    with pytest.raises(HeadwayError, match="/dev/full: cannot write"):
        write_json(Path("/dev/full"), 1)
    assert not os.path.isfile("/dev/full")
