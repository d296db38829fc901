"""``headway replay`` and ``headway calibrate --run``: tables, files, bad input, and Ctrl-C."""

import json
import re
import signal
from pathlib import Path

import pytest

from headway.profiles.hardware_profiles import load_hardware
from tests.profiles.replay.runs import HARDWARE, record, record_steps, workload

from .command import LIMIT_S, headway, no_process_left, spawn

TURNS = [[0, 5000, 200, 0, 1, 0, ""], [9, 6000, 100, 5000, 1, 90.0, ""], [99, 7000, 50, 0, 1, 5, ""]]


def run(tmp_path: Path, *arguments: str | Path):
    with no_process_left():
        done = headway(*arguments, cwd=tmp_path)
    assert "Traceback" not in done.stderr
    return done


def recorded(folder: Path, *, slower: float = 1.0) -> Path:
    """A run folder, and the profile of the hardware that it ran on beside it."""
    folder.mkdir()
    result = record(folder / "events.jsonl", workload(pressure=1.0))
    record_steps(folder / "events.jsonl", until_s=result.makespan_s, slower=slower)
    return folder


def sessions(folder: Path) -> Path:
    file = folder / "sessions.jsonl"
    lines = [{"id": str(n), "tool_tokens": 100, "system_tokens": 100, "turns": TURNS} for n in range(3)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_a_run_is_replayed_on_other_fleets_and_held_against_itself(tmp_path: Path) -> None:
    recorded(tmp_path / "mine")
    done = run(tmp_path, "replay", "mine", "--engines", "auto", "--jobs", "2", "--json", "out.json")
    assert done.returncode == 0, done.stderr
    assert "mine, simulated" in done.stdout
    assert "headroom, recorded" in done.stdout
    assert "step times fitted to the run's own steps" in done.stdout
    assert re.search(r"headroom: .* 5% .*, simulated", done.stdout)
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["complete"]
    assert written["header"]["command"].startswith("headway replay mine")
    assert [row["engines"] for row in written["rows"]] == [1, 2, 4]
    as_it_was = written["rows"][1]["figures"]
    assert as_it_was["makespan_s"] == pytest.approx(written["recorded"]["figures"]["makespan_s"], rel=0.01)


def test_sessions_are_clipped_and_cut_and_that_is_said(tmp_path: Path) -> None:
    sessions(tmp_path)
    done = run(
        tmp_path, "replay", "sessions.jsonl", "--policies", "static", "--engines", "2", "--clip", "60",
        "--max-context", "6500", "--jobs", "1", "--pressure", "0.2", "--seeds", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "clipped to 60 s" in done.stdout
    assert "cut at 6500 tokens" in done.stdout
    assert "Simulated: h100-14b" in done.stdout
    assert "medians over seeds" in done.stdout


def test_bad_input_is_said_in_one_line(tmp_path: Path) -> None:
    sessions(tmp_path)
    (tmp_path / "text.txt").write_text("hello\n")
    for wrong, said in (
        (["text.txt"], "text.txt:1: not a line of JSON"),
        (["sessions.jsonl", "--engines", "many"], "--engines many: give whole numbers"),
        (["sessions.jsonl", "--hardware", "abacus"], "there is no hardware profile 'abacus'"),
        (["sessions.jsonl", "--too-long", "fold"], "--too-long fold"),
        (["sessions.jsonl", "--model", "dir"], "--model is what real engines run"),
    ):
        done = run(tmp_path, "replay", *wrong)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr


def test_ctrl_c_keeps_what_was_played(tmp_path: Path) -> None:
    sessions(tmp_path)
    with no_process_left():
        process = spawn(
            ["replay", "sessions.jsonl", "--policies", "static", "--engines", "1,64", "--pressure", "1",
             "--seeds", "9", "--jobs", "1", "--json", "out.json"],
            cwd=tmp_path,
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if "played" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert "Ended before everything was played" in rest
    written = json.loads((tmp_path / "out.json").read_text())
    assert not written["complete"]
    assert 1 <= len(written["rows"]) < 18


def test_a_profile_is_fitted_to_a_run_and_its_error_is_that_of_the_replay(tmp_path: Path) -> None:
    recorded(tmp_path / "mine")
    done = run(tmp_path, "calibrate", "--run", "mine", "--out", "fitted.toml")
    assert done.returncode == 0, done.stderr
    assert "mine, span 3 of 9" in done.stdout
    hardware = load_hardware(str(tmp_path / "fitted.toml"))
    assert hardware.step.prefill == pytest.approx(HARDWARE.step.prefill, rel=0.01)
    assert hardware.error.startswith("makespan of the run that it was fitted to, replayed: off by")
    again = run(tmp_path, "replay", "mine", "--hardware", "fitted.toml")
    assert f"error against real runs: {hardware.error}" in again.stdout


def test_of_two_runs_the_second_is_held_out(tmp_path: Path) -> None:
    recorded(tmp_path / "one", slower=1.5)
    recorded(tmp_path / "two")
    done = run(tmp_path, "calibrate", "--run", "one", "--run", "two", "--out", "fitted.toml")
    assert done.returncode == 0, done.stderr
    error = load_hardware(str(tmp_path / "fitted.toml")).error
    assert error.startswith("makespan of a run that it was not fitted to, replayed: off by +")
    assert "two, headroom" in done.stdout
    assert "+50.0%" in done.stdout


def test_what_no_profile_can_be_fitted_to_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    record(folder / "events.jsonl", workload(pressure=0.3))
    for more, said in (([], "no steps are recorded beside it"), (["--engines", "3"], "--engines is about")):
        done = run(tmp_path, "calibrate", "--run", "mine", "--out", "fitted.toml", *more)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
    assert not (tmp_path / "fitted.toml").exists()
