"""What a GRPO-RoC run is asked to do."""

from typing import Annotated

import msgspec
from msgspec import Meta

from .collapse import CollapseConfig
from .optimizer_config import OptimizerConfig
from .roc import RocConfig


class GrpoConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step: ``prompts`` tasks of ``samples`` rollouts each, of which ``keep`` are trained on.

    ``refill`` bounds the groups started in a step, as a multiple of ``prompts``. ``give_up_after`` so many
    steps in a row that trained nothing, the run ends as failed. Without ``scaled_advantages`` they are not
    divided by the rewards' spread (Dr. GRPO, arXiv 2503.20783).
    """

    steps: int = 30
    prompts: int = 12
    samples: int = 12
    keep: int = 6
    refill: Annotated[float, Meta(le=1000)] = 2.0
    give_up_after: int = 3
    advantage_epsilon: Annotated[float, Meta(ge=0)] = 1e-4
    scaled_advantages: bool = True
    seed: int = 0
    roc: RocConfig = RocConfig()
    collapse: CollapseConfig = CollapseConfig()
    optimizer: OptimizerConfig = OptimizerConfig()

    def __post_init__(self) -> None:
        floors = {"steps": 1, "prompts": 1, "samples": 2, "keep": 2, "refill": 1, "give_up_after": 1}
        for name, least in floors.items():
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}")
        if self.keep > self.samples:
            raise ValueError(f"`keep` ({self.keep}) cannot be more than `samples` ({self.samples})")
        if self.roc.least_right + self.roc.least_wrong > self.keep:
            raise ValueError(
                f"`roc.least_right` and `roc.least_wrong` together are more than `keep` ({self.keep})"
            )


class EvalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``samples`` rollouts of each of ``tasks`` held-out tasks, before, after and ``every`` so many steps."""

    tasks: Annotated[int, Meta(ge=0)] = 256
    samples: Annotated[int, Meta(ge=1)] = 1
    every: Annotated[int, Meta(ge=0)] = 0
