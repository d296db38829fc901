"""A policy that is somewhere else: each of its calls as a value, and the policy that such values are made by.

Invariant: one call at a time, whatever threads they come from. Knows nothing of how a call gets there.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from headway.engine.weight_transfer import WeightTransfer
from headway.errors import HeadwayError

from .batch import Sample
from .policy import Policy
from .step_report import StepReport

_PATIENCE_S = 60.0  # of a second thread; the loop has one, and leaves one only where it was given up


class Call(NamedTuple):
    """One method of a policy, with what it is given."""

    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def on(self, policy: Policy) -> Any:
        """Make the call."""
        return getattr(policy, self.method)(*self.arguments, **self.options)


class RelayedPolicy:
    """Implements ``Policy`` by ``everywhere``: it makes a call on all ranks and returns rank 0's result."""

    def __init__(self, everywhere: Callable[[Call], Any]) -> None:
        self._everywhere = everywhere
        self._one_call = threading.Lock()

    def step(self, samples: Sequence[Sample], *, version: int | None = None) -> StepReport:
        """As every rank does it."""
        report: StepReport = self._call("step", list(samples), version=version)
        return report

    def write_weights(self, file: Path) -> None:
        """As every rank does it."""
        self._call("write_weights", file)

    def offer_weights(self, workers: int) -> WeightTransfer:
        """As every rank does it; what rank 0 offers counts."""
        transfer: WeightTransfer = self._call("offer_weights", workers)
        return transfer

    def send_weights(self, transfer: WeightTransfer) -> None:
        """As every rank does it."""
        self._call("send_weights", transfer)

    def save(self, folder: Path) -> None:
        """As every rank does it."""
        self._call("save", folder)

    def save_checkpoint(self, folder: Path, extra: Mapping[str, Any]) -> None:
        """As every rank does it."""
        self._call("save_checkpoint", folder, dict(extra))

    def load_checkpoint(self, folder: Path) -> dict[str, Any]:
        """As every rank does it."""
        extra: dict[str, Any] = self._call("load_checkpoint", folder)
        return extra

    def reset_optimizer(self) -> None:
        """As every rank does it."""
        self._call("reset_optimizer")

    def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        # The other process may be in another folder.
        given = tuple(one.absolute() if isinstance(one, Path) else one for one in arguments)
        with self._alone(method):
            return self._everywhere(Call(method, given, options))

    @contextmanager
    def _alone(self, method: str) -> Iterator[None]:
        if not self._one_call.acquire(timeout=_PATIENCE_S):
            raise HeadwayError(f"{method}: the ranks are still at another call after {_PATIENCE_S:g} s")
        try:
            yield
        finally:
            self._one_call.release()
