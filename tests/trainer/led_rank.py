"""A rank under torchrun that leads or follows, as the command line has it; rank 0 is killed in the end."""

import os
import signal
import sys
from pathlib import Path

import torch

from headway.cli.policy import follow_policy, leads, open_policy
from headway.engine import EngineConfig
from headway.engine.devices import Placement
from headway.engine.environment import engine_environment
from headway.errors import HeadwayError, InputError
from headway.trainer.policy import Policy
from headway.trainer.policy_model import PolicyModel
from headway.trainer.trainer_config import TrainerConfig

from .two_ranks import PLAIN, batch


def train(policy: Policy, out: Path) -> None:
    for step in range(3):
        policy.step(batch(step), version=3)
    policy.write_weights(out)


def open_alone(work: Path) -> Policy:
    return PolicyModel(work / "model", PLAIN)


def main(work: Path) -> None:
    torch.set_num_threads(1)
    model, config = work / "model", TrainerConfig()
    if not leads():
        try:
            follow_policy(model, PLAIN, config)
        except HeadwayError as error:
            print(f"rank {os.environ['RANK']}: {error}", flush=True)
        os._exit(0)
    engine = engine_environment(EngineConfig(model="", device="cpu"), Placement())
    print("engines are not told", *sorted(os.environ.keys() - engine.keys()), flush=True)
    try:
        with open_policy(model, PLAIN, TrainerConfig(ranks=2)):
            pass
    except InputError as error:
        print(f"rank 0 was refused: {error}", flush=True)
    with open_policy(model, PLAIN, config) as policy:
        train(policy, work / "two")
        try:
            policy.write_weights(work / "nowhere" / "weights")
        except HeadwayError as error:
            print(f"rank 0 was told: {error}", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
