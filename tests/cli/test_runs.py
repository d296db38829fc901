"""Whole runs of the real command, on real engines."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import headway as package
from headway.profiles.attribution import Attribution
from headway.profiles.event_log import Reader

from .command import headway, no_process_left, spawn

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

CONFIG = """
name = "small"
model = "tiny"

[engines]
count = 2
kv_tokens = 1536
max_context = 512

[agent]
max_turns = 4
max_turn_tokens = 96

[grpo]
steps = {steps}
prompts = 2
samples = 6
keep = 4

[grpo.optimizer]
learning_rate = 1e-4
warmup_steps = 1

[evaluation]
tasks = 12
"""

SMALL_STEPS = [
    *("--set", "grpo.prompts=1", "--set", "grpo.samples=4", "--set", "grpo.keep=2"),
    *("--set", "evaluation.tasks=4"),
]


def test_a_training_run_accounts_for_everything(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(CONFIG.format(steps=2))
    with no_process_left():
        done = headway("train", "--config", "run.toml", "--run", "run", "--json", "out.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    summary = json.loads((run / "summary.json").read_text())
    assert summary == json.loads((tmp_path / "out.json").read_text())
    assert summary["complete"]
    assert [step["step"] for step in summary["steps"]] == [1, 2]
    assert [entry["step"] for entry in summary["eval"]] == [0, 2]
    assert [engine["kv_tokens"] for engine in summary["engines"]] == [1536, 1536]

    for step in summary["steps"]:
        assert step["weight_version"] == step["step"]
        assert set(step["idle"]) == {"engine-0", "engine-1"}
        for causes in step["idle"].values():
            assert sum(causes.values()) == step["wall_ns"]
        if step["kept"]:
            assert step["logprob_max_abs_diff"] <= 1e-4
    for causes in summary["idle"].values():
        assert sum(causes.values()) == summary["wall_ns"]

    trajectories = summary["trajectories"]
    rollouts = [json.loads(line) for line in (run / "rollouts.jsonl").read_text().splitlines()]
    assert trajectories["started"] == trajectories["finished"] + trajectories["failed"] == len(rollouts)
    assert trajectories["failed"] == 0
    assert len({rollout["id"] for rollout in rollouts}) == len(rollouts)
    for rollout in rollouts:
        size = len(rollout["tokens"])
        assert size == len(rollout["mask"]) == len(rollout["logprobs"]) == len(rollout["versions"]) <= 512
        assert {v == -1 for v, m in zip(rollout["versions"], rollout["mask"], strict=True) if m} == {False}
    assert {max(rollout["versions"]) for rollout in rollouts} == {0, 1, 2}

    reader = Reader(run / "events.jsonl")
    attribution = Attribution(reader.header.engines, reader.header.t)
    for event in reader:
        attribution.take(event)
    assert not reader.torn
    assert {sum(causes.values()) for causes in attribution.spent().values()} == {attribution.wall_ns}

    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(entry["kind"], entry["step"]) for entry in metrics] == [
        ("eval", 0),
        ("stage", 0),
        ("step", 1),
        ("step", 2),
        ("eval", 2),
    ]
    assert list((run / "tensorboard").iterdir())
    assert AutoModelForCausalLM.from_pretrained(run / "model").num_parameters() > 1_000_000


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stopped_in_the_middle_of_a_step_keeps_what_it_finished_and_leaves_no_process(
    tmp_path: Path, signum: signal.Signals
) -> None:
    (tmp_path / "run.toml").write_text(CONFIG.format(steps=1000))
    with no_process_left():
        process = spawn(["train", "--config", "run.toml", "--run", "run", *SMALL_STEPS], cwd=tmp_path)
        summary = tmp_path / "run" / "summary.json"
        deadline = time.monotonic() + 400
        while time.monotonic() < deadline and process.poll() is None:
            if summary.exists() and json.loads(summary.read_text())["steps"]:
                break
            time.sleep(0.2)
        if signum is signal.SIGINT:
            os.killpg(process.pid, signum)  # as Ctrl-C in a terminal: everyone in the group gets it
        else:
            process.terminate()
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signum, said
    assert "Traceback" not in said
    assert f"stopped by {signum.name}" in said
    assert "stopping; again to stop at once" in said
    after = json.loads(summary.read_text())
    assert not after["complete"]
    assert after["steps"]
    trajectories = after["trajectories"]
    assert trajectories["started"] == trajectories["finished"] + trajectories["failed"]
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    assert len((tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()) >= trajectories["finished"]


def test_a_run_that_is_killed_goes_on_with_what_it_has_and_trains_on_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(CONFIG.format(steps=1000))
    command = ["train", "--config", "run.toml", "--run", "run", "--resume", "auto", *SMALL_STEPS]
    command += ["--set", "engines.count=1", "--set", "checkpoint_every=2"]
    metrics = tmp_path / "run" / "metrics.jsonl"
    with no_process_left():
        process = spawn([*command, "--set", "grpo.max_staleness=1"], cwd=tmp_path)
        deadline = time.monotonic() + 400
        while time.monotonic() < deadline and process.poll() is None:
            if metrics.exists() and metrics.read_text().count('"kind":"step"') >= 3:
                break
            time.sleep(0.2)
        process.kill()
        said, _ = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, said
        before = [json.loads(line) for line in metrics.read_text().splitlines()]
        kept = max(int(folder.name[5:]) for folder in (tmp_path / "run" / "checkpoints").glob("step-??????"))
        last = kept + 2
        done = headway(*command, "--set", f"grpo.steps={last}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"changed since the run began: grpo.steps: 1000 -> {last}" in done.stdout
    assert f"going on after step {kept}" in done.stdout
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    assert [step["step"] for step in steps] == [*range(1, last + 1)]
    assert [line for line in before if line["step"] <= kept] == lines[: kept + 2]
    trained = [name for step in steps for name in step["trained"]]
    assert len(set(trained)) == len(trained) > 0
    rollouts = [json.loads(line) for line in (tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()]
    assert len({rollout["id"] for rollout in rollouts}) == len(rollouts)
    assert {rollout["group"] for rollout in rollouts} >= set(trained)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["complete"]
    assert [step["step"] for step in summary["steps"]] == [*range(1, last + 1)]


def foreign_model(folder: Path) -> Path:
    """A model that the project does not ship: Llama, a byte tokenizer, no chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_rollouts_of_a_foreign_model_on_ones_own_tasks_can_be_resumed(tmp_path: Path) -> None:
    model = foreign_model(tmp_path / "model")
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text('{"id": "a", "prompt": "What is 2+2?", "answer": "4"}\n')
    common = ("--model", model, "--tasks", tasks, "--out", "out.jsonl", "--max-turn-tokens", "24")
    done = headway("rollout", *common, "--samples", "3", "--text", "--events", "ev.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [record["task"] for record in records] == ["a"] * 3
    for record in records:
        assert record["failure"] is None
        assert record["reward"] == 0.0
        assert sum(record["mask"]) == 24 or record["finish_reason"] != "length"
        assert "<tools>" in record["text"]
        assert "What is 2+2?" in record["text"]
    with tasks.open("a") as file:
        file.write('{"id": "b", "messages": [{"role": "user", "content": "Say it."}]}\n')
    with (tmp_path / "out.jsonl").open("a") as file:
        file.write(
            json.dumps(records[0], separators=(",", ":"))[:100]
        )  # as a writer that was killed leaves it
    done = headway("rollout", *common, "--samples", "4", "--resume", "--json", "s.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [record["task"] for record in records].count("a") == 4
    assert [record["task"] for record in records].count("b") == 4
    assert {record["reward"] for record in records if record["task"] == "b"} == {None}
    assert len({record["id"] for record in records}) == 8
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["measures"]["trajectories"] == 5
    for causes in summary["idle"].values():
        assert sum(causes.values()) == summary["wall_ns"]


def test_a_disk_that_takes_no_more_ends_the_run_with_the_files_name(tmp_path: Path) -> None:
    limit = ["prlimit", "--fsize=16000", "--"]  # no file may grow beyond this, as on a full disk
    arguments = [
        "rollout",
        "--model",
        "tiny",
        "--tasks",
        "arithmetic",
        "--out",
        "out.jsonl",
        "--samples",
        "4",
    ]
    process = spawn([*arguments, "--max-context", "512"], cwd=tmp_path, limit=limit)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 1, said
    assert "out.jsonl: cannot write: File too large" in said
    assert "Traceback" not in said
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert all(json.loads(line)["task"] for line in lines[:-1])


def test_the_readmes_example_runs_as_it_stands(tmp_path: Path) -> None:
    readme = (Path(package.__file__).parent.parent / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    model = Path(package.__file__).parent / "trainer" / "tiny_policy"
    (tmp_path / "tasks.jsonl").write_text(
        '{"id": "t", "prompt": "What is 1234 times 567?", "answer": 699678}\n'
    )
    script = tmp_path / "example.py"
    script.write_text(
        f"{example}\nfrom pathlib import Path\nasyncio.run(main(Path({str(model)!r}), Path('tasks.jsonl')))\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"t \[([01]\.0, ){7}[01]\.0\]\n", done.stdout)
