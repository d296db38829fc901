"""What the loop asks of the trained model, wherever it is: in this process, on several ranks, in Ray actors.

Invariant: a call has ended on every rank once it returns or raises. Knows nothing of how ranks are reached.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from headway.engine.weight_transfer import WeightTransfer

from .batch import Sample
from .step_report import StepReport


class Policy(Protocol):
    """The trained model. ``PolicyModel`` is the one of a single process; files are written by rank 0."""

    def step(self, samples: Sequence[Sample], *, version: int | None = None) -> StepReport:
        """Update on a batch of samples, one at least."""
        ...

    def write_weights(self, file: Path) -> None:
        """Write the weights to one safetensors file, in HF names."""
        ...

    def offer_weights(self, workers: int) -> WeightTransfer:
        """Say where an engine of so many GPUs gets the weights from this model's GPU, and what will come."""
        ...

    def send_weights(self, transfer: WeightTransfer) -> None:
        """Send the weights that were offered; returns once the engine has them."""
        ...

    def save(self, folder: Path) -> None:
        """Write an HF model folder."""
        ...

    def save_checkpoint(self, folder: Path, extra: Mapping[str, Any]) -> None:
        """Write all that training needs to go on, ``extra`` included."""
        ...

    def load_checkpoint(self, folder: Path) -> dict[str, Any]:
        """Go on from a checkpoint; return its ``extra``."""
        ...

    def reset_optimizer(self) -> None:
        """Begin anew with the optimiser's state, and with its schedule."""
        ...
