"""The benchmark's command: tables, files, bad input, and Ctrl-C."""

import json
import signal
from pathlib import Path

from headway.cli.bench_options import specs

from .command import LIMIT_S, headway, no_process_left, spawn

SMALL = ["--suites", "search", "--pressures", "0.2", "--engines", "1", "--seeds", "2"]
KEYS = [
    "suite",
    "engines",
    "pressure",
    "seed",
    "policy",
    "makespan_s",
    "bound_s",
    "tokens_per_s",
    "prefill_recomputed",
    "preemptions",
    "hit_rate",
    "first_token_p99_s",
    "decision_us",
]


def bench(tmp_path: Path, *more: str | Path):
    with no_process_left():
        done = headway("bench", "scheduling", *more, cwd=tmp_path)
    assert "Traceback" not in done.stderr
    return done


def test_a_small_benchmark_prints_tables_and_writes_its_files(tmp_path: Path) -> None:
    done = bench(
        tmp_path, *SMALL, "--policies", "headroom,static", "--json", "out.json", "--html", "out.html"
    )
    assert done.returncode == 0, done.stderr
    assert "search, 1 engine:" in done.stdout
    assert "Simulated: h100-14b" in done.stdout
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["complete"]
    assert written["header"]["command"].startswith("headway bench scheduling")
    assert [list(row)[: len(KEYS)] for row in written["rows"]] == [KEYS] * 4
    assert {(row["policy"], row["seed"]) for row in written["rows"]} == {
        (policy, seed) for policy in ("headroom", "static") for seed in (0, 1)
    }
    assert "<svg" in (tmp_path / "out.html").read_text()


def test_a_sweep_shows_the_best_cap(tmp_path: Path) -> None:
    done = bench(tmp_path, *SMALL, "--policies", "headroom", "--sweep-caps", "--json", "out.json")
    assert done.returncode == 0, done.stderr
    assert "capped (best limit)" in done.stdout
    assert "capped:limit" not in done.stdout
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert any(row["policy"].startswith("capped:limit=") for row in rows)


def test_a_trace_is_played_and_its_caveats_are_said(tmp_path: Path) -> None:
    session = {
        "id": "a",
        "tool_tokens": 100,
        "system_tokens": 100,
        "turns": [
            [0, 5000, 200, 0, 1, 0, ""],
            [9, 6000, 100, 5000, 1, 90.0, ""],
            [99, 7000, 50, 0, 1, 5, ""],
        ],
    }
    (tmp_path / "trace.jsonl").write_text(json.dumps(session) + "\n")
    done = bench(
        tmp_path, "--trace", "trace.jsonl", "--groups", "1", "--engines", "1", "--seeds", "1",
        "--policies", "headroom", "--html", "out.html",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.html").is_file()
    assert "trace, 1 engine:" in done.stdout
    assert "clipped to 60 s" in done.stdout


def test_bad_input_is_said_in_one_line(tmp_path: Path) -> None:
    for wrong, said in (
        (["--suites", "chess"], "no suite is named 'chess'"),
        (["--policies", "capped:limit=x"], "policy capped"),
        (["--pressures", "high"], "--pressures high: give numbers"),
        (["--pressures", ""], "--pressures '': give at least one number"),
        (["--pressures", "nan"], "--pressures nan: a pressure is a number above 0"),
        (["--pressures", "inf"], "--pressures inf: a pressure is a number above 0"),
        (["--policies", ""], "nothing to run"),
        (["--engines", "2.5"], "--engines 2.5: give whole numbers"),
        (["--engines", "0"], "--engines 0: at least one engine"),
        (["--max-context", "5"], "give them with --trace"),
        (["--groups", "2", "--pressures", "1"], "give one of them"),
        (["--json", "same", "--html", "same"], "--json and --html both name same"),
        (["--hardware", "abacus"], "abacus"),
        (["--kv-tokens", "1000"], "contexts grow to"),
        (["--trace", "none.jsonl"], "none.jsonl: cannot read"),
    ):
        done = bench(tmp_path, *wrong)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    with no_process_left():
        process = spawn(
            ["bench", "scheduling", "--suites", "search,math", "--pressures", "0.2,8", "--engines", "4",
             "--seeds", "9", "--policies", "static", "--jobs", "1", "--json", "out.json"],
            cwd=tmp_path,
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if "measured" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    written = json.loads((tmp_path / "out.json").read_text())
    assert not written["complete"]
    assert 1 <= len(written["rows"]) < 36


def test_options_of_a_policy_follow_it() -> None:
    assert specs("headroom,capped:limit=26,headroom:z=1,hold=off,static") == [
        "headroom",
        "capped:limit=26",
        "headroom:z=1,hold=off",
        "static",
    ]


def test_the_benchmark_starts_without_loading_torch_or_vllm(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, headway.cli.bench_scheduling;"
        "print([m for m in ('torch', 'vllm', 'transformers', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
