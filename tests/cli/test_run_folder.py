import os
import subprocess
from pathlib import Path

import pytest

from headway.cli.run_folder import RunFolder, transfer_folder
from headway.errors import HeadwayError


def sparse_model(folder: Path, size: int) -> Path:
    folder.mkdir()
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(size)
    return folder


def test_weights_pass_through_memory_where_they_fit(tmp_path: Path) -> None:
    memory, run = tmp_path / "memory", tmp_path / "run"
    memory.mkdir()
    run.mkdir()
    with transfer_folder(run, sparse_model(tmp_path / "small", 1000), memory=memory) as folder:
        assert Path(folder).parent == memory
    assert not os.listdir(memory)


def test_weights_that_do_not_fit_into_memory_pass_through_the_run_folder(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    too_large = sparse_model(tmp_path / "large", free.f_bavail * free.f_frsize // 2 + (1 << 30))
    run = tmp_path / "run"
    run.mkdir()
    for memory in (tmp_path, tmp_path / "missing"):
        with transfer_folder(run, too_large, memory=memory) as folder:
            assert Path(folder).parent == run


def test_a_run_folder_is_never_shared(tmp_path: Path) -> None:
    RunFolder(tmp_path / "deep" / "run", name="x")
    with pytest.raises(HeadwayError, match="the run folder is there already"):
        RunFolder(tmp_path / "deep" / "run", name="x")
    with pytest.raises(HeadwayError, match="cannot make the run folder"):
        RunFolder(Path("/dev/null/run"), name="x")


def test_weights_that_a_killed_process_left_in_memory_are_removed(tmp_path: Path) -> None:
    memory, run = tmp_path / "memory", tmp_path / "run"
    memory.mkdir()
    run.mkdir()
    dead = subprocess.Popen(["true"])
    dead.wait()
    for owner in (dead.pid, os.getpid(), "other"):
        (memory / f"headway-weights-{owner}-x").mkdir()
    with transfer_folder(run, sparse_model(tmp_path / "small", 1000), memory=memory):
        left = {folder.name.split("-")[2] for folder in memory.iterdir()}
    assert left == {str(os.getpid()), "other"}
