"""``headway sandbox run``: output, summary, exit status, limits, bad input."""

import json
import subprocess
from pathlib import Path

import pytest

from headway.cli.sandbox import size_of
from headway.errors import InputError

from .command import COMMAND, LIMIT_S, headway, no_process_left

NO_USER_NAMESPACES = "echo 0 > /proc/sys/user/max_user_namespaces && exec "


def run_code(tmp_path: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "code.py").write_text(code)
    with no_process_left():
        done = headway("sandbox", "run", "code.py", *options, cwd=tmp_path)
    assert "headway/cli" not in done.stderr
    return done


def test_output_comes_out_as_it_is_and_a_line_says_how_it_ended(tmp_path: Path) -> None:
    done = run_code(tmp_path, "import sys\nprint('out é')\nprint('err', file=sys.stderr, end='')")
    assert (done.returncode, done.stdout) == (0, "out é\n")
    first, summary = done.stderr.splitlines()
    assert first == "err"
    assert summary.startswith("headway: ok, exit code 0, CPU ")
    assert ", attempt 1" in summary
    assert "left out" not in summary


def test_code_that_fails_gives_status_1_and_its_traceback(tmp_path: Path) -> None:
    done = run_code(tmp_path, "raise SystemExit(7)")
    assert (done.returncode, done.stderr.partition(", CPU")[0]) == (1, "headway: error, exit code 7")
    done = run_code(tmp_path, "1 / 0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_the_limit_that_was_hit_is_named_with_its_option(tmp_path: Path) -> None:
    generous = ["--wall", "600", "--cpu", "600"]
    for code, options, said in (
        ("import time; time.sleep(1000)", ["--wall", "0.5"], "timeout: longer than 0.5 s (--wall), signal 9"),
        ("while True: pass", [*generous, "--cpu", "0.5"], "cpu_limit: more than 0.5 s"),
        (
            "x = bytearray(1 << 30)",
            [*generous, "--memory", "100M"],
            "memory_limit: more than 100 MiB (--memory)",
        ),
        ("while True: print('x' * 99)", [*generous, "--output", "1K"], "output_limit: far more output than"),
    ):
        done = run_code(tmp_path, code, *options)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr


def test_output_that_is_left_out_is_counted(tmp_path: Path) -> None:
    done = run_code(tmp_path, "print('x' * 2999)", "--output", "1000")
    assert done.returncode == 0
    assert "2,000 bytes of output left out (--output)" in done.stderr
    assert "[... 2000 bytes left out ...]" in done.stdout


def test_json_is_the_whole_result_and_nothing_else(tmp_path: Path) -> None:
    done = run_code(tmp_path, "print('hello'); raise SystemExit(3)", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    result = json.loads(done.stdout)
    assert (result["status"], result["exit_code"], result["stdout"]) == ("error", 3, "hello\n")
    assert {"stderr", "signal", "cpu_s", "wall_s", "peak_memory_bytes", "tier", "attempt"} <= result.keys()


def test_code_reads_a_file_or_our_standard_input(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("from a file")
    code = "import sys; print(sys.stdin.read())"
    assert run_code(tmp_path, code).stdout == "\n"
    assert run_code(tmp_path, code, "--stdin", "data.txt").stdout == "from a file\n"
    assert piped(tmp_path, "code.py", "--stdin", "-", text="from a pipe").stdout == "from a pipe\n"


def test_code_may_come_on_standard_input(tmp_path: Path) -> None:
    assert piped(tmp_path, "-", text="print(6 * 7)").stdout == "42\n"


def piped(tmp_path: Path, *arguments: str, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "sandbox", "run", *arguments],
        cwd=tmp_path,
        input=text,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )


def test_bad_input_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("print(1)")
    (tmp_path / "latin.py").write_bytes(b"print('\xe9')")
    for wrong, said in (
        (["none.py"], "none.py: cannot read: No such file"),
        ([str(tmp_path)], "cannot read: Is a directory"),
        (["latin.py"], "latin.py: not UTF-8 text at byte 7"),
        (["code.py", "--stdin", "none.txt"], "none.txt: cannot read"),
        (["-", "--stdin", "-"], "only one of them can be our standard input"),
        (["code.py", "--wall", "nan"], "--wall nan: give seconds above 0"),
        (["code.py", "--cpu", "0"], "--cpu 0: give seconds above 0"),
        (["code.py", "--memory", "lots"], "--memory lots: give a size above 0, such as"),
        (["code.py", "--processes", "0"], "--processes"),
    ):
        done = headway("sandbox", "run", *wrong, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_a_machine_without_namespaces_is_told_of_and_weaker_isolation_is_a_choice(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("print('ran')")
    refused = without_namespaces(tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "max_user_namespaces" in refused.stderr
    assert "--allow-tier-c" in refused.stderr
    ran = without_namespaces(tmp_path, "--allow-tier-c")
    assert (ran.returncode, ran.stdout) == (0, "ran\n")
    assert "tier C" in ran.stderr
    assert ran.stderr.startswith("warning: ")


def without_namespaces(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run it in a user namespace in which no further one may be made."""
    inside = [
        "unshare",
        "--user",
        "--map-user=1000",
        "--keep-caps",
        "sh",
        "-c",
        NO_USER_NAMESPACES + '"$@"',
        "sh",
    ]
    return subprocess.run(
        [*inside, *COMMAND, "sandbox", "run", "code.py", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [("65536", 65536), ("64K", 65536), ("64kb", 65536), ("1.5M", 3 << 19), ("2GiB", 2 << 30), ("1", 1)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert size_of("--memory", text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "5X", "K", "1e9", "0.1", "9999999999999G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="give a size"):
        size_of("--memory", text)
