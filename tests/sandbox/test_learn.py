from pathlib import Path

from headway.sandbox.learn import learn


def learned(tmp_path: Path, code: str) -> tuple[int, dict[int, int]]:
    file = tmp_path / "program.py"
    file.write_text(code)
    status, refused = learn(file, ["argument"])
    return status, {call.number: call.times for call in refused}


def test_a_program_that_stays_within_the_list_shows_nothing(tmp_path):
    code = (
        "import sys, os, json, threading\nthreading.Thread(target=os.getpid).start()\nopen(__file__).read()"
    )
    assert learned(tmp_path, code) == (0, {})


def test_calls_that_the_filter_would_refuse_are_counted_and_work(tmp_path):
    code = "import socket\nfor _ in range(3): socket.socket().close()\nraise SystemExit(7)"
    status, counts = learned(tmp_path, code)
    assert (status, list(counts.values())) == (7, [3])


def test_calls_of_child_processes_are_counted(tmp_path):
    code = "import os, socket\nif not os.fork():\n  socket.socket()\n  os._exit(0)\nos.wait()"
    assert list(learned(tmp_path, code)[1].values()) == [1]


def test_a_program_that_is_killed_ends_the_learning(tmp_path):
    assert learned(tmp_path, "import os; os.kill(os.getpid(), 9)")[0] == -9


def test_arguments_reach_the_program(tmp_path):
    assert learned(tmp_path, "import sys; raise SystemExit(len(sys.argv[1]))")[0] == len("argument")


def test_a_file_that_is_not_there_ends_with_its_error(tmp_path, capfd):
    status, _ = learn(tmp_path / "missing.py")
    assert status == 1
    assert "missing.py" in capfd.readouterr().err
