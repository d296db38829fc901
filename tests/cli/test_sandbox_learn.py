import subprocess
import sys
from pathlib import Path


def learn(tmp_path: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "program.py").write_text(code)
    command = [sys.executable, "-m", "headway", "sandbox", "learn", "program.py", *arguments]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)


def test_refused_calls_are_listed_and_the_programs_output_and_status_are_its_own(tmp_path: Path) -> None:
    done = learn(
        tmp_path, "import socket, sys\nsocket.socket()\nprint(sys.argv[1:])\nsys.exit(3)", "--fast", "x"
    )
    assert (done.returncode, done.stdout) == (3, "['--fast', 'x']\n")
    assert "what the filter refuses" in done.stderr


def test_a_program_within_the_list_is_told_so(tmp_path: Path) -> None:
    done = learn(tmp_path, "print(1)")
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert "refuses nothing" in done.stderr


def test_a_program_that_is_not_there_is_unusable_input(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "headway", "sandbox", "learn", "missing.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "missing.py" in done.stderr
