"""One rank of a model, to be held in a process of its own and called from another.

Invariant: what a user is to be told comes back as a value, since an error would arrive in another shape.
Knows nothing of who holds it.
"""

from pathlib import Path
from typing import Any, NamedTuple

from torch._C._distributed_c10d import TCPStore

from headway.errors import HeadwayError

from ..address import own_address
from ..optimizer_config import OptimizerConfig
from ..policy_model import PolicyModel
from ..ranks import LIMIT, join
from ..relay import Call


class Plan(NamedTuple):
    """What all ranks hold: the model, how it is trained, on what, and how many they are."""

    folder: Path
    optimizer: OptimizerConfig
    device: str
    size: int


class Member:
    """The rank; it meets the others at the store that rank 0 has."""

    def __init__(self, rank: int, plan: Plan) -> None:
        self._rank = rank
        self._plan = plan
        self._store: Any = None
        self._model: Any = None

    def open_store(self) -> tuple[str, int]:
        """On rank 0: open the store, and say where the others find it."""
        host = own_address()
        self._store = TCPStore(host, 0, is_master=True, timeout=LIMIT, wait_for_workers=False)
        return host, self._store.port

    def join(self, host: str, port: int) -> HeadwayError | None:
        """Meet the others, and build the model with them."""
        plan = self._plan
        try:
            store = self._store or TCPStore(host, port, timeout=LIMIT, wait_for_workers=False)
            ranks = join(rank=self._rank, size=plan.size, store=store, device=plan.device)
            self._model = PolicyModel(
                plan.folder, plan.optimizer, device=plan.device, ranks=ranks, address=own_address()
            )
        except HeadwayError as error:
            return error
        return None

    def call(self, call: Call) -> Any:
        """Make a call on the model; a ``HeadwayError`` is returned."""
        try:
            return call.on(self._model)
        except HeadwayError as error:
            return error
