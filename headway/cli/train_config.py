"""What a training run is made of: the one struct that a configuration file decodes into."""

from typing import Annotated

import msgspec
from msgspec import Meta

from headway.trainer.grpo import EvalConfig, GrpoConfig

from .config import SessionConfig


class DataConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Task files to train on and to hold out, or ``arithmetic`` for the tasks that headway generates."""

    train: str = "arithmetic"
    held_out: str = "arithmetic"


class TrainConfig(SessionConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training run. ``model`` is a folder, or ``tiny`` for the policy that headway ships.

    ``name`` begins the name of the run folder; ``checkpoint_every`` counts steps (0: at the end alone).
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)] = "train"
    data: DataConfig = DataConfig()
    grpo: GrpoConfig = GrpoConfig()
    evaluation: EvalConfig = EvalConfig()
    trainer_device: str = "cpu"
    checkpoint_every: Annotated[int, Meta(ge=0)] = 0
