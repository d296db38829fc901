"""``headway sft`` on the shipped policy, from the command line to a folder that loads."""

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import headway as package

from .command import headway

TINY = Path(package.__file__).parent / "trainer" / "tiny_policy"


def write_chats(file: Path, numbers: range) -> None:
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Say {number}."},
                {"role": "assistant", "content": f"{number}, as you asked."},
            ]
        }
        for number in numbers
    ]
    long = {"messages": [rows[0]["messages"][0], {"role": "assistant", "content": "So it goes. " * 600}]}
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, long]))


def test_a_model_learns_chats_and_is_a_folder_that_loads(tmp_path: Path) -> None:
    write_chats(tmp_path / "chats.jsonl", range(10, 30))
    write_chats(tmp_path / "held_out.jsonl", range(30, 34))
    command = ["sft", "--model", "tiny", "--data", "chats.jsonl", "--held-out", "held_out.jsonl"]
    command += ["--out", "trained", "--epochs", "2", "--batch", "8", "--learning-rate", "1e-3"]
    done = headway(*command, "--json", "summary.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "20 chats, 6 steps" in done.stdout
    assert "1 chats were left out: they are too long" in done.stdout
    summary = json.loads((tmp_path / "summary.json").read_text())
    epochs = summary["progress"]["held_out"]
    assert [one["epoch"] for one in epochs] == [0, 1, 2]
    assert epochs[0]["loss"] > epochs[1]["loss"] > epochs[2]["loss"]
    assert 0 < summary["loss_share"] < 1
    assert summary["model"] == "trained"

    trained, before = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
        for folder in (tmp_path / "trained", TINY)
    )
    assert any(not torch.equal(trained[name], tensor) for name, tensor in before.items())
    assert AutoTokenizer.from_pretrained(tmp_path / "trained").chat_template
    run = tmp_path / "trained.run"
    assert {path.name for path in run.iterdir()} == {
        "checkpoints",
        "config.json",
        "metrics.jsonl",
        "tensorboard",
    }
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-000006"]


def test_what_cannot_be_learned_is_said_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text('{"messages": [{"role": "user", "content": "Say 1."}]}\n')
    done = headway("sft", "--model", TINY, "--data", "chats.jsonl", "--out", "trained", cwd=tmp_path)
    assert done.returncode == 2
    assert "chats.jsonl:1: not a chat to learn from: `messages` must begin with" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["chats.jsonl"]
