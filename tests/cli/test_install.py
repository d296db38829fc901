"""When .venv is kept, and when it is made anew; with a Python and a pip that install nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PYTHON = f"""#!/bin/sh
case "$*" in
    "-m venv"*)
        mkdir -p .venv/bin
        ln -s "$0" .venv/bin/python
        printf '#!/bin/sh\\necho "$*" >>pip.log\\n' >.venv/bin/pip
        chmod +x .venv/bin/pip ;;
    *'print("python%d.%d"'*) echo "python${{MINOR:-3.11}}" ;;
    *) exec {sys.executable} "$@" ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("install.sh", "pyproject.toml", "setup.py"):
        shutil.copy2(ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tmp_path


def install(folder: Path, device: str = "cpu", **more: str) -> tuple[int, str, list[str]]:
    """Run it; gives its status, what it said, and what pip was asked for."""
    log = folder / "pip.log"
    log.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHON": str(folder / "python"), "HEADWAY_DEVICE": device, **more}
    done = subprocess.run(
        ["./install.sh"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr, log.read_text().splitlines() if log.exists() else []


def mark(folder: Path) -> Path:
    """A file that is gone when the environment is made anew."""
    file = folder / ".venv" / "mark"
    file.touch()
    return file


def test_a_second_installation_does_nothing(folder: Path) -> None:
    status, said, asked = install(folder)
    assert status == 0, said
    assert "install -q -e .[cpu,test]" in asked
    assert install(folder) == (0, "", [])


def test_another_device_has_an_environment_of_its_own(folder: Path) -> None:
    install(folder)
    marked = mark(folder)
    status, said, asked = install(folder, "gpu")
    assert status == 0, said
    assert "making it anew for gpu python3.11" in said
    assert asked == ["install -q -e .[gpu,test]"]
    assert not marked.exists()


def test_another_python_has_an_environment_of_its_own(folder: Path) -> None:
    install(folder)
    marked = mark(folder)
    assert install(folder, MINOR="3.13")[0] == 0
    assert not marked.exists()


def test_other_requirements_go_into_the_same_environment(folder: Path) -> None:
    install(folder)
    marked = mark(folder)
    (folder / "setup.py").write_text("# changed\n")
    status, _, asked = install(folder)
    assert (status, bool(asked)) == (0, True)
    assert marked.exists()


def test_without_a_choice_the_environment_keeps_its_python(folder: Path) -> None:
    install(folder)
    assert install(folder, PYTHON="") == (0, "", [])


def test_a_device_that_is_none_is_refused_before_anything_is_removed(folder: Path) -> None:
    install(folder)
    marked = mark(folder)
    status, said, _ = install(folder, "tpu")
    assert (status, "choose cpu, gpu or amd" in said) == (1, True)
    assert marked.exists()


def test_an_installation_that_failed_is_tried_again(folder: Path) -> None:
    install(folder)
    (folder / "setup.py").write_text("# changed\n")
    pip = folder / ".venv" / "bin" / "pip"
    working = pip.read_text()
    pip.write_text("#!/bin/sh\nexit 1\n")
    assert install(folder, "cpu")[0] != 0
    pip.write_text(working)
    shutil.copy2(ROOT / "setup.py", folder)
    assert install(folder)[2]
