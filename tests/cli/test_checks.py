"""Values that would crash late, or with a traceback, are refused before anything starts."""

from pathlib import Path

import pytest

from headway.cli.train_config import DataConfig, TrainConfig
from headway.cli.training_checks import check_device, check_training
from headway.errors import InputError
from headway.trainer.config_file import load_config

BAD = {
    "checkpoint_every = -1": "checkpoint_every",
    'name = "../up"': "name",
    "[engines]\ncount = 0": "engines.count",
    "[engines]\nkv_tokens = 0": "engines.kv_tokens",
    "[engines]\ngpu_memory_utilization = 1.5": "engines.gpu_memory_utilization",
    "[engines]\nthreads = -1": "engines.threads",
    "[sampling]\ntemperature = nan": "sampling.temperature",
    "[sampling]\ntop_p = 0.0": "sampling.top_p",
    "[sandbox]\nwall_s = inf": "sandbox.wall_s",
}


@pytest.mark.parametrize("line", BAD)
def test_a_value_out_of_range_is_named_with_its_place(tmp_path: Path, line: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(f'model = "tiny"\n{line}\n')
    with pytest.raises(InputError, match=f"run.toml: Expected .* at `{BAD[line]}`"):
        load_config(file, TrainConfig)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:-1", "cuda:99", "meta", "mps"])
def test_a_trainer_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"trainer\.device"):
        check_device(name)
    check_device("cpu")


@pytest.mark.parametrize("source", ["train", "held_out"])
def test_a_task_without_an_answer_is_refused_for_training(tmp_path: Path, source: str) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"id": "a", "prompt": "1+1?", "answer": 2}\n{"id": "b", "prompt": "Why?"}\n')
    config = TrainConfig(model="tiny", data=DataConfig(**{source: str(file)}))
    with pytest.raises(InputError, match=r"tasks\.jsonl: task b has no answer"):
        check_training(config)
