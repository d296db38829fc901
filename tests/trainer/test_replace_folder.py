from pathlib import Path

import pytest

from headway.trainer.replace_folder import replace_folder


def folder(path: Path, said: str) -> Path:
    path.mkdir()
    (path / "file").write_text(said)
    return path


def test_the_new_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for said in ("first", "second"):
        replace_folder(folder(tmp_path / "new", said), tmp_path / "kept")
        assert [path.name for path in tmp_path.iterdir()] == ["kept"]
        assert (tmp_path / "kept" / "file").read_text() == said


def test_the_old_folder_is_back_if_the_new_one_cannot_be_renamed(tmp_path: Path) -> None:
    folder(tmp_path / "kept", "first")
    with pytest.raises(OSError, match="gone"):
        replace_folder(tmp_path / "gone", tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "file").read_text() == "first"


def test_what_a_killed_process_left_aside_stays_until_the_new_folder_is_in_place(tmp_path: Path) -> None:
    folder(tmp_path / "kept.old", "first")
    with pytest.raises(OSError, match="gone"):
        replace_folder(tmp_path / "gone", tmp_path / "kept")
    assert (tmp_path / "kept" / "file").read_text() == "first"
    folder(tmp_path / "kept.old", "stale")
    replace_folder(folder(tmp_path / "new", "second"), tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "file").read_text() == "second"
