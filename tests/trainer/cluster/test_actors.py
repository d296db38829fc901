"""A model in two Ray actors learns what it learns in one process, and a dead actor is named."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from headway.cli.policy import open_policy
from headway.errors import HeadwayError, InputError
from headway.trainer.policy import Policy
from headway.trainer.trainer_config import TrainerConfig
from tests.engine.tiny_model import build_model
from tests.trainer.led_rank import train
from tests.trainer.test_distributed import distance
from tests.trainer.two_ranks import PLAIN, batch

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tmp_path_factory.mktemp("model")
    build_model(seed=0).save_pretrained(model)
    return model


@pytest.fixture(scope="module")
def actors(model: Path) -> Iterator[Policy]:
    """Two actors, in the Ray that other tests use if it is there."""
    import ray

    owns_ray = not ray.is_initialized()
    if owns_ray:
        ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False)
    with open_policy(model, PLAIN, TrainerConfig(ranks=2, cpus_per_rank=0.25)) as policy:
        yield policy
    assert ray.is_initialized()
    if owns_ray:
        ray.shutdown()


def members() -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] and process.info["cmdline"][0].startswith("ray::Member")
    ]


def test_two_actors_train_what_one_process_trains(actors: Policy, model: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with open_policy(model, PLAIN, TrainerConfig()) as alone:
        train(alone, tmp_path / "one")
    torch.set_num_threads(threads)
    train(actors, tmp_path / "two")
    assert distance(tmp_path / "two", tmp_path / "one") < 1e-5
    assert distance(tmp_path / "two", model / "model.safetensors") > 1e-3

    actors.save_checkpoint(tmp_path / "checkpoint", {"step": 3})
    assert actors.load_checkpoint(tmp_path / "checkpoint") == {"step": 3}

    with pytest.raises(HeadwayError, match="nowhere/weights: cannot write the weights"):
        actors.write_weights(tmp_path / "nowhere" / "weights")
    with pytest.raises(InputError, match="cannot read the checkpoint"):
        actors.load_checkpoint(tmp_path / "nowhere")
    assert actors.step(batch(3)).updates == 1


def test_a_dead_actor_is_named_and_ends_the_others(actors: Policy, tmp_path: Path) -> None:
    assert len(members()) == 2
    last = max(members(), key=lambda process: process.create_time())
    last.send_signal(signal.SIGKILL)
    with pytest.raises(HeadwayError, match=r"^rank [01]: .*died") as died:
        actors.step(batch(4))
    with pytest.raises(HeadwayError) as later:
        actors.save(tmp_path / "model")
    assert str(later.value) == str(died.value)


def test_a_cluster_that_is_not_there_is_named(model: Path) -> None:
    code = f"""
from pathlib import Path
from headway.cli.policy import open_policy
from headway.trainer.optimizer_config import OptimizerConfig
from headway.trainer.trainer_config import TrainerConfig
with open_policy(Path({str(model)!r}), OptimizerConfig(), TrainerConfig(ranks=2, ray="127.0.0.1:1")):
    pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "InputError: Ray at 127.0.0.1:1 cannot be used: " in done.stderr
