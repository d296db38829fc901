"""What a training run is made of: the one struct that a configuration file decodes into."""

from typing import Annotated

import msgspec
from msgspec import Meta

from headway.scheduler import TaskFormat
from headway.trainer.grpo import EvalConfig, GrpoConfig
from headway.trainer.metrics_log import BOTH_FILES, LogKind
from headway.trainer.trainer_config import TrainerConfig

from .config import SessionConfig
from .data import GENERATED


class DataConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Task files to train on and to hold out, or ``arithmetic`` for the tasks that headway generates.

    ``format`` is that of both files; ``auto`` goes by their columns. ``tasks``: train on the first so many
    only; of generated ones there is no end without it.
    """

    train: str = "arithmetic"
    held_out: str = "arithmetic"
    format: TaskFormat = "auto"
    tasks: Annotated[int, Meta(ge=1)] | None = None


class TrainConfig(SessionConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training run. ``model`` is a folder, or ``tiny`` for the policy that headway ships.

    ``name`` begins the name of the run folder; ``checkpoint_every`` counts steps (0: at the end alone), and
    the last ``keep_checkpoints`` stay; ``log`` says where metrics go; ``transcripts`` is how many rollouts of
    each step are written to be read.
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)] = "train"
    data: DataConfig = DataConfig()
    grpo: GrpoConfig = GrpoConfig()
    evaluation: EvalConfig = EvalConfig()
    trainer: TrainerConfig = TrainerConfig()
    checkpoint_every: Annotated[int, Meta(ge=0)] = 10
    keep_checkpoints: Annotated[int, Meta(ge=1)] = 2
    log: tuple[LogKind, ...] = BOTH_FILES
    transcripts: Annotated[int, Meta(ge=0)] = 4

    def __post_init__(self) -> None:
        screened = [stage.name for stage in self.grpo.stages if stage.drop_solved is not None]
        if screened and self.data.train == GENERATED and self.data.tasks is None:
            raise ValueError(
                f"stage {screened[0]} has `drop_solved`, which takes a number of tasks that has an end: "
                "set `data.tasks`"
            )
