"""What a GRPO-RoC run is asked to do."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .collapse import CollapseConfig
from .optimizer_config import OptimizerConfig
from .roc import RocConfig
from .stage_config import StageConfig


class GrpoConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step: ``prompts`` tasks of ``samples`` rollouts each, of which ``keep`` are trained on.

    ``refill`` bounds the groups started in a step, as a multiple of ``prompts``. ``give_up_after`` so many
    steps in a row that trained nothing, the run ends as failed. Without ``scaled_advantages`` they are not
    divided by the rewards' spread (Dr. GRPO, arXiv 2503.20783). With ``stages``, their steps count, and not
    ``steps``.

    ``max_staleness``: so many batches may be rolled out ahead while an earlier one is collected and trained
    on; 0 is synchronous. A group of which a token is older than so many versions all the same is trained on
    with its importance weights (``too_old`` = ``reweight``), or rejected and replaced (``refuse``).
    """

    steps: int = 30
    stages: tuple[StageConfig, ...] = ()
    prompts: int = 12
    samples: int = 12
    keep: int = 6
    refill: Annotated[float, Meta(le=1000)] = 2.0
    give_up_after: int = 3
    max_staleness: Annotated[int, Meta(ge=0, le=100)] = 0
    too_old: Literal["reweight", "refuse"] = "reweight"
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
        if self.max_staleness and self.too_old == "reweight" and self.optimizer.importance.level == "off":
            raise ValueError(
                "`max_staleness` needs importance weights: set `optimizer.importance.level`, "
                'or `too_old = "refuse"`'
            )
        for before, stage in zip((None, *self.stages), self.stages, strict=False):
            enter = stage.enter
            if enter.fully_solved is not None and (
                before is None or max(enter.after, enter.window) > before.steps
            ):
                raise ValueError(
                    f"stage {stage.name}: `enter` can never hold; the stage before it has "
                    f"{before.steps if before else 0} steps, and `window` and `after` need no more than that"
                )
            if stage.drop_solved is not None and stage.drop_solved > self.samples:
                raise ValueError(
                    f"stage {stage.name}: `drop_solved` ({stage.drop_solved}) cannot be more than "
                    f"`samples` ({self.samples})"
                )

    @property
    def plan(self) -> tuple[StageConfig, ...]:
        """The stages, one at least."""
        return self.stages or (StageConfig(steps=self.steps),)

    @property
    def most_steps(self) -> int:
        """The steps of all stages, if none is cut short."""
        return sum(stage.steps for stage in self.plan)


class EvalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``samples`` rollouts of each of ``tasks`` held-out tasks, before, after and ``every`` so many steps."""

    tasks: Annotated[int, Meta(ge=0)] = 256
    samples: Annotated[int, Meta(ge=1)] = 1
    every: Annotated[int, Meta(ge=0)] = 0
