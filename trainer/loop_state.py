"""All that the training loop must know to go on, besides weights and optimiser."""

import msgspec

from .collapse import StepFigures
from .collector import CollectorState
from .curriculum import CurriculumState
from .fruitless import FruitlessState
from .solve_rates import SolveRate


class HeldOutFigure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What an evaluation said."""

    step: int
    pass_at_1: float


class LoopState(msgspec.Struct, frozen=True, kw_only=True):
    """``version`` of the weights; ``figures``: what the collapse detector has seen, in order."""

    step: int
    version: int
    collector: CollectorState
    curriculum: CurriculumState
    fruitless: FruitlessState
    solve_rates: dict[str, SolveRate]
    figures: list[StepFigures | HeldOutFigure]
