"""Checks a training run before anything is started or made: model, engines, tasks, the trainer's device."""

from collections.abc import Iterable

import torch

from headway.errors import InputError
from headway.scheduler import Task
from headway.trainer.metrics_log import check_log
from headway.trainer.ranks import own_device
from headway.trainer.trainer_config import by_nccl

from .data import finite_tasks, held_out_tasks
from .policy import local_rank
from .session import check_session, engine_gpus
from .train_config import TrainConfig


def check_training(config: TrainConfig) -> None:
    """Check all that can be checked; raises ``InputError`` at the first fault."""
    check_trainer(config)
    check_log(config.log)
    held_out = held_out_tasks(config.data.held_out, config.evaluation.tasks, config.data.format)
    train = finite_tasks(
        config.data.train, config.data.format, count=config.data.tasks, seed=config.grpo.seed
    )
    check_answers(config.data.train, train)
    check_answers(config.data.held_out, held_out)
    check_session(config, [*held_out, *train])


def check_trainer(config: TrainConfig) -> None:
    """Raise ``InputError`` where the policy cannot be trained as asked; Ray's actors may have other GPUs."""
    if config.trainer.ranks == 1:
        check_device(own_device(config.trainer.device, local_rank()))
    sends_by_nccl(config)


def sends_by_nccl(config: TrainConfig) -> bool:
    """Whether weights go from GPU to GPU; raises ``InputError`` where that is asked for and cannot be."""
    return by_nccl(config.trainer, engine_gpus=engine_gpus(config))


def check_device(name: str) -> None:
    """Raise ``InputError`` unless the trainer's device is there; a GPU is not touched for it."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"trainer.device {name!r} is none; choose cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"trainer.device {name!r}: torch {torch.__version__} finds {torch.cuda.device_count()} GPUs; "
            "choose another, or cpu"
        )


def check_answers(source: str, tasks: Iterable[Task]) -> None:
    """Raise ``InputError`` for a task without an answer: without a reward it teaches and measures nothing."""
    for task in tasks:
        if task.answer is None:
            raise InputError(f"{source}: task {task.id} has no answer; training needs one for every task")
