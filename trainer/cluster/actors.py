"""Holds a model in Ray actors, a rank in each. All that knows Ray is here.

Invariants: every call is made on all ranks; once one has failed for itself or is dead, all are ended, and it
is named; a Ray that was started here is stopped, one that was found running is not. Rank 0 is on the machine
of the caller where that has room for it. Knows nothing of training.
"""

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from headway.errors import HeadwayError, InputError

from ..optimizer_config import OptimizerConfig
from ..policy import Policy
from ..relay import Call, RelayedPolicy
from ..trainer_config import TrainerConfig
from .member import Member, Plan

_REACH_S = 10.0
_START_S = 600.0  # for a machine that has to be added to the cluster first, too
_AFTER_S = 10.0  # in which the others, which wait for one that has failed, fail as well


@contextmanager
def open_actors(folder: Path, optimizer: OptimizerConfig, config: TrainerConfig) -> Iterator[Policy]:
    """Start the actors, and end them after the body.

    Raises ``InputError`` where there is no such cluster, ``HeadwayError`` where it has no room for them.
    """
    owns_ray = not ray.is_initialized()
    if owns_ray:
        _connect(config.ray)
    try:
        actors = _start(folder, optimizer, config)
        try:
            actors.join()
            yield RelayedPolicy(actors.everywhere)
        finally:
            actors.end()
    finally:
        if owns_ray:
            ray.shutdown()


def _connect(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdecimal():  # where nobody listens, Ray itself would try for minutes, and then exit
            socket.create_connection((host, int(port)), timeout=_REACH_S).close()
        ray.init(address or None, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    except (OSError, RuntimeError, ValueError) as error:
        where = f"at {address}" if address else "on this machine"
        raise InputError(f"Ray {where} cannot be used: {error}. Is `ray start --head` running?") from error


def _start(folder: Path, optimizer: OptimizerConfig, config: TrainerConfig) -> "_Actors":
    device = "cpu" if config.device == "cpu" else "cuda"  # of which Ray shows each actor its own alone
    if optimizer.reference:  # an actor may be in another folder
        optimizer = msgspec.structs.replace(optimizer, reference=str(Path(optimizer.reference).absolute()))
    plan = Plan(folder.absolute(), optimizer, device, config.ranks)
    remote: Any = ray.remote(
        num_cpus=config.cpus_per_rank,
        num_gpus=0 if device == "cpu" else 1,
        max_restarts=0,
        max_task_retries=0,
    )(Member)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    first = remote.options(scheduling_strategy=here).remote(0, plan)
    return _Actors([first, *(remote.remote(rank, plan) for rank in range(1, config.ranks))])


class _Actors:
    def __init__(self, members: Sequence[Any]) -> None:
        self._members = members
        self._ended: str | None = None

    def join(self) -> None:
        """Have the ranks meet, and build the model."""
        found = [member.__ray_ready__.remote() for member in self._members]
        ready, missing = ray.wait(found, num_returns=len(found), timeout=_START_S)
        self._results(ready)
        if missing:
            raise HeadwayError(
                f"{len(missing)} of {len(found)} ranks did not start within {_START_S:g} s; the Ray cluster "
                f"has {ray.available_resources()} left: ask for fewer `ranks`, or add machines"
            )
        (place,) = self._results([self._members[0].open_store.remote()])
        self._results([member.join.remote(*place) for member in self._members])

    def everywhere(self, call: Call) -> Any:
        """Make a call on every rank; return what rank 0 has of it."""
        if self._ended is not None:
            raise HeadwayError(self._ended)
        given = ray.put(call)
        return self._results([member.call.remote(given) for member in self._members])[0]

    def end(self, reason: str = "the ranks have parted") -> None:
        """End every actor; safe to call again."""
        if self._ended is None:
            self._ended = reason
            for member in self._members:
                with suppress(RayError):
                    ray.kill(member)

    def _results(self, calls: list[Any]) -> list[Any]:
        """What each rank has; raises what all have in common, or ends all for what one has for itself."""
        outcomes: dict[int, Any] = {}
        left = list(calls)
        while left:
            ready, left = ray.wait(left, timeout=_AFTER_S if any(map(_failed, outcomes.values())) else None)
            if not ready:
                break
            outcomes[calls.index(ready[0])] = _outcome(ready[0])
        failed = {rank: outcome for rank, outcome in outcomes.items() if _failed(outcome)}
        if not failed:
            return [outcomes[rank] for rank in range(len(calls))]
        rank, error = min(failed.items(), key=lambda item: not isinstance(item[1], RayActorError))
        if len(failed) == len(calls) and all(isinstance(one, HeadwayError) for one in failed.values()):
            raise error
        self.end(f"rank {rank}: {_text(error)}")
        raise HeadwayError(f"rank {rank}: {_text(error)}") from error


def _outcome(call: Any) -> Any:
    try:
        return ray.get(call)
    except RayError as error:
        return error


def _failed(outcome: Any) -> bool:
    return isinstance(outcome, RayError | HeadwayError)


def _text(error: Exception) -> str:
    """An error in one line, where Ray has a traceback or a list of circumstances."""
    if isinstance(error, RayTaskError):
        return repr(error.cause)
    return str(error).partition("\n")[0]
