"""Bad input ends in one clear line, at once, with exit status 2 and without a traceback."""

import json
import shutil
from pathlib import Path

import pytest

import headway as package

from .command import headway

TINY = Path(package.__file__).parent / "trainer" / "tiny_policy"


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"id": "a", "prompt": "What is 12 * 34?", "answer": 408}\n')
    return file


def roll_out(tmp_path: Path, *more: str | Path, model: str | Path = TINY, tasks: str | Path = "tasks.jsonl"):
    done = headway("rollout", "--model", model, "--tasks", tasks, "--out", "out.jsonl", *more, cwd=tmp_path)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_a_broken_line_in_the_task_file_is_named(tmp_path: Path, tasks: Path) -> None:
    tasks.write_text(tasks.read_text() + '{"id": "b", "prompt": \n')
    code, said = roll_out(tmp_path)
    assert code == 2
    assert "tasks.jsonl:2: not a task" in said


def test_a_model_folder_without_a_tokenizer_is_named(tmp_path: Path, tasks: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    code, said = roll_out(tmp_path, model=folder)
    assert code == 2
    assert f"{folder} has no tokenizer" in said.replace("\n", " ")


def test_zero_engines_are_refused(tmp_path: Path, tasks: Path) -> None:
    code, said = roll_out(tmp_path, "--engines", "0")
    assert code == 2
    assert "0 engines were asked for; at least one is needed" in said


def test_a_prompt_longer_than_the_context_is_named_with_its_length(tmp_path: Path, tasks: Path) -> None:
    with tasks.open("a") as file:
        file.write(json.dumps({"id": "long", "prompt": "word " * 900}) + "\n")
    code, said = roll_out(tmp_path, "--max-context", "512")
    assert code == 2
    assert "task long: its prompt has" in said
    assert "the context is 512" in said


def test_a_kv_cache_too_small_for_one_trajectory_is_refused(tmp_path: Path, tasks: Path) -> None:
    code, said = roll_out(tmp_path, "--kv-tokens", "256", "--max-context", "512")
    assert code == 2
    assert "kv_tokens 256" in said
    assert "cannot hold one trajectory of max_context 512 tokens" in said


def test_a_policy_that_is_none_is_refused_with_those_that_are(tmp_path: Path, tasks: Path) -> None:
    code, said = roll_out(tmp_path, "--policy", "fifo")
    assert code == 2
    assert "no policy is named 'fifo'; choose one of: headroom, static" in said


def test_records_are_never_overwritten(tmp_path: Path, tasks: Path) -> None:
    (tmp_path / "out.jsonl").write_text("precious\n")
    code, said = roll_out(tmp_path)
    assert code == 2
    assert "out.jsonl: is there already" in said
    code, said = roll_out(tmp_path, "--resume")
    assert code == 2
    assert "out.jsonl:1: not a rollout record" in said
    assert (tmp_path / "out.jsonl").read_text() == "precious\n"


def test_a_model_folder_that_is_none_is_named(tmp_path: Path, tasks: Path) -> None:
    code, said = roll_out(tmp_path, model=tmp_path / "nowhere")
    assert code == 2
    assert "nowhere" in said


def test_a_run_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    done = headway("demo", "--run", "taken", cwd=tmp_path)
    assert done.returncode == 1
    assert "taken: the run folder is there already" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configuration_can_be_checked_without_running_it(tmp_path: Path, tasks: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(f'model = "{TINY}"\n[data]\ntrain = "tasks.jsonl"\nheld_out = "tasks.jsonl"\n')
    done = headway("train", "--config", config, "--check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    config.write_text(config.read_text() + "[grpo]\nkeeep = 3\n")
    done = headway("train", "--config", config, "--check", cwd=tmp_path)
    assert done.returncode == 2
    assert "[grpo] has no key `keeep`; did you mean `keep`?" in done.stderr


def test_a_mistyped_model_leaves_no_file_in_the_way_of_the_corrected_command(
    tmp_path: Path, tasks: Path
) -> None:
    code, said = roll_out(tmp_path, "--events", "ev.jsonl", model="tinny")
    assert (code, list(tmp_path.iterdir())) == (2, [tasks]), said


def test_an_empty_file_is_nothing_to_protect(tmp_path: Path, tasks: Path) -> None:
    (tmp_path / "out.jsonl").touch()
    code, said = roll_out(tmp_path, "--engines", "0")
    assert code == 2
    assert "at least one is needed" in said


def test_an_event_log_is_never_overwritten(tmp_path: Path, tasks: Path) -> None:
    (tmp_path / "ev.jsonl").write_text("precious\n")
    code, said = roll_out(tmp_path, "--events", "ev.jsonl")
    assert code == 2
    assert "ev.jsonl: is there already" in said
    assert not (tmp_path / "out.jsonl").exists()


def test_resuming_a_whole_file_starts_nothing_and_says_so(tmp_path: Path, tasks: Path) -> None:
    (tmp_path / "out.jsonl").write_text('{"id":"g1.0","group":"g1","task":"a"}\n')
    code, said = roll_out(tmp_path, "--resume", "--json", "s.json")
    assert code == 0
    assert "out.jsonl: nothing is missing" in said
    assert json.loads((tmp_path / "s.json").read_text())["complete"]


@pytest.mark.parametrize("option", ["--out", "--json", "--events"])
def test_a_file_in_a_folder_that_is_not_there_is_named_at_once(
    tmp_path: Path, tasks: Path, option: str
) -> None:
    code, said = roll_out(tmp_path, option, "missing/file.jsonl")
    assert code == 2
    assert "missing/file.jsonl: there is no folder missing" in said


def test_every_command_checks_where_its_json_goes(tmp_path: Path) -> None:
    for command in (["demo"], ["train", "--config", "none"], ["doctor"], ["cold-start", "--out", "x"]):
        done = headway(*command, "--json", "missing/file", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "there is no folder missing" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [("--temperature", "nan"), ("--temperature", "inf"), ("--top-p", "0")])
def test_sampling_that_is_none_is_refused(tmp_path: Path, tasks: Path, option: tuple[str, str]) -> None:
    code, said = roll_out(tmp_path, *option)
    assert code == 2
    assert option[0].replace("-", "_").strip("_") in said.replace("-", "_")


def test_every_command_explains_itself(tmp_path: Path) -> None:
    for command in ("demo", "train", "rollout", "doctor", "cold-start"):
        done = headway(command, "--help", cwd=tmp_path)
        assert done.returncode == 0
        assert "--json" in done.stdout


def test_the_doctor_finds_what_is_needed_here(tmp_path: Path) -> None:
    done = headway("doctor", "--json", "found.json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    found = {finding["what"]: finding for finding in json.loads((tmp_path / "found.json").read_text())}
    assert all(finding["works"] for finding in found.values() if finding["needed"])
    assert {"python", "torch", "vllm", "open files", "shared memory"} <= found.keys()
