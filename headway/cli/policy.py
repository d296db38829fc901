"""Opens the policy that a run trains: in this process, on the ranks that torchrun started, or in Ray actors.

Invariant: of torchrun's processes rank 0 alone makes the run; the others do what its policy does, and end
with it. Knows nothing of the run.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headway.errors import InputError
from headway.trainer.leading import follow, lead
from headway.trainer.lines import connect
from headway.trainer.optimizer_config import OptimizerConfig
from headway.trainer.policy import Policy
from headway.trainer.policy_model import PolicyModel
from headway.trainer.ranks import Ranks, from_environment, own_device
from headway.trainer.trainer_config import TrainerConfig

from .session import quieten_transformers


def leads() -> bool:
    """Whether the run is made in this process; if not, ``follow_policy`` is what it is there for."""
    return int(os.environ.get("WORLD_SIZE", 1)) == 1 or int(os.environ.get("RANK", 0)) == 0


def local_rank() -> int:
    """Which of torchrun's processes on this machine this is; 0 without torchrun."""
    return int(os.environ.get("LOCAL_RANK", 0))


@contextmanager
def open_policy(folder: Path, optimizer: OptimizerConfig, trainer: TrainerConfig) -> Iterator[Policy]:
    """Load the model of a folder, and yield it; what was started for it ends with the body."""
    if trainer.ranks > 1:
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise InputError(
                f"trainer.ranks is {trainer.ranks}, for Ray, and torchrun has started ranks; leave it at 1"
            )
        with _actors(folder, optimizer, trainer) as policy:
            yield policy
        return
    ranks, build = _member(folder, optimizer, trainer)
    if ranks.size == 1:
        yield build()
        return
    with lead(build, connect(ranks), ranks) as policy:
        yield policy
    ranks.leave()


def follow_policy(folder: Path, optimizer: OptimizerConfig, trainer: TrainerConfig) -> None:
    """On a rank that does not lead: do what rank 0's policy does, to its end; raises ``HeadwayError``.

    A Ctrl-C or SIGTERM is for rank 0: it has the others take part in ending, or is gone, which they hear.
    """
    ranks, build = _member(folder, optimizer, trainer)
    (line,) = connect(ranks)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    follow(build, line)
    ranks.leave()


def _member(
    folder: Path, optimizer: OptimizerConfig, trainer: TrainerConfig
) -> tuple[Ranks, Callable[[], Policy]]:
    quieten_transformers()
    device = own_device(trainer.device, local_rank())
    ranks = from_environment(device=device)
    return ranks, lambda: PolicyModel(folder, optimizer, device=device, ranks=ranks)


@contextmanager
def _actors(folder: Path, optimizer: OptimizerConfig, trainer: TrainerConfig) -> Iterator[Policy]:
    try:
        from headway.trainer.cluster.actors import open_actors
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise InputError(
            "training in Ray actors (trainer.ranks > 1) needs Ray: install headway[ray]"
        ) from error
    with open_actors(folder, optimizer, trainer) as policy:
        yield policy
