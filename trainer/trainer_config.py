"""Where the policy is trained, and how its weights get to the engines.

Knows nothing of the training itself, nor of whether the GPUs are there.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from headway.errors import InputError


class TrainerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``device``: ``cpu``, ``cuda`` or ``cuda:N``, the first of the GPUs of those ranks that torchrun starts.

    ``ranks`` > 1: so many Ray actors hold the model, each on a GPU where ``device`` is ``cuda``; ``ray`` is
    their cluster's address or ``auto``, by default a Ray of this machine; ``cpus_per_rank`` is what Ray sets
    aside for each. ``weights``: by a ``file``, or by ``nccl`` from GPU to GPU.
    """

    device: Annotated[str, Meta(pattern=r"^(cpu|cuda(:[0-9]+)?)$")] = "cpu"
    ranks: Annotated[int, Meta(ge=1)] = 1
    ray: str = ""
    cpus_per_rank: Annotated[float, Meta(ge=0)] = 1.0
    weights: Literal["auto", "file", "nccl"] = "auto"


def by_nccl(config: TrainerConfig, *, engine_gpus: int) -> bool:
    """Whether weights go from GPU to GPU; ``engine_gpus``: how many the engines have, the first of all.

    Raises ``InputError`` where that is asked for and cannot be: NCCL does not connect a GPU with itself.
    """
    fault = _fault(config, engine_gpus)
    if config.weights == "nccl" and fault is not None:
        raise InputError(f'trainer.weights is "nccl", but {fault}; set it to "file"')
    return config.weights != "file" and fault is None


def _fault(config: TrainerConfig, engine_gpus: int) -> str | None:
    if config.device == "cpu":
        return "the trainer is on a CPU"
    if not engine_gpus:
        return "the engines are on a CPU, or take weights from files only"
    first = int(config.device.partition(":")[2] or 0)
    if config.ranks == 1 and first < engine_gpus:
        return (
            f"the trainer's device {config.device!r} is one of the engines' first {engine_gpus} GPUs (else "
            f"give it cuda:{engine_gpus})"
        )
    return None
