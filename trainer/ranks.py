"""The processes that train one model together, each with a share of its parameters and of every batch.

Invariants: what is asked of all ranks, all are asked in the same order; a process alone needs no process
group; no rank waits for another longer than the limit given when they joined. Knows nothing of models.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from headway.errors import HeadwayError, InputError

T = TypeVar("T")
LIMIT = timedelta(minutes=30)


@dataclass(frozen=True)
class Ranks:
    """This process is ``rank`` of ``size``, on a ``device`` of its own."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    def use_device(self) -> None:
        """Have the thread that calls this work on the rank's GPU, if it is one; torch notes it by thread."""
        if self.device != "cpu":
            torch.cuda.set_device(torch.device(self.device).index or 0)

    def gather(self, value: T) -> list[T]:
        """Return the value of every rank, in their order, to every rank."""
        if self.size == 1:
            return [value]
        values = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    def together(self, action: Callable[[], T]) -> T:
        """Run an action on every rank; where it fails on one, it raises on all, once all have ended it."""
        result: T | None = None
        error: Exception | None = None
        try:
            result = action()
        except Exception as caught:
            error = caught
        failures = self.gather(None if error is None else f"{error}")
        if error is not None:
            raise error
        for rank, failure in enumerate(failures):
            if failure is not None:
                raise HeadwayError(f"rank {rank}: {failure}")
        return result  # type: ignore[return-value]

    def on_first(self, action: Callable[[], object]) -> None:
        """Run an action on rank 0, while the others wait; where it fails, it raises on all."""
        self.together(action if self.rank == 0 else lambda: None)

    def leave(self) -> None:
        """End the process group; nothing more can be asked of the ranks.

        Torch keeps a group that a model was spread over, and one of its gloo threads may, rarely, abort the
        interpreter while that ends: a process that has left is best ended with ``os._exit``.
        """
        if self.size > 1:
            dist.destroy_process_group()


ALONE = Ranks()


def own_device(device: str, local_rank: int) -> str:
    """The device of a rank, of which others are on the machine, where ``device`` is the first one's."""
    kind, _, first = device.partition(":")
    return f"{kind}:{int(first or 0) + local_rank}" if kind != "cpu" and local_rank else device


def join(*, rank: int, size: int, store: Store, device: str = "cpu", limit: timedelta = LIMIT) -> Ranks:
    """Meet the other ranks at a store that all of them reach; ``device`` is this rank's own."""
    if size == 1:
        return ALONE
    ranks = Ranks(rank, size, device)
    ranks.use_device()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=limit)
    except RuntimeError as error:  # DistStoreError among them: a rank did not come
        raise HeadwayError(f"rank {rank} of {size} cannot meet the others: {error}") from error
    return ranks


def from_environment(*, device: str = "cpu", limit: timedelta = LIMIT) -> Ranks:
    """Meet the other ranks as ``torchrun``'s variables say; without ``WORLD_SIZE``, stay alone."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return ALONE
    try:
        store, rank, size = next(rendezvous("env://", timeout=limit))
    except ValueError as error:
        raise InputError(f"cannot meet the other ranks: {error}; start them with torchrun") from error
    return join(rank=rank, size=size, store=store, device=device, limit=limit)
