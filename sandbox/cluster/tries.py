"""Decides whether a call that a node failed is tried on another.

Invariants: no call is tried on more than five nodes; a node's own fault, which it has already retried on its
own workers, is tried elsewhere once. Knows nothing of how nodes are chosen.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from ..result import Result

NODES_PER_CALL = 5
FAULTS_PER_CALL = 2

NodeT = TypeVar("NodeT", bound=Hashable)


class Tries(Generic[NodeT]):
    """What became of one call so far: ``attempts`` made in vain, on the nodes of ``avoid``."""

    def __init__(self) -> None:
        self.attempts = 0
        self.avoid: set[NodeT] = set()
        self._losses = self._faults = 0

    def goes_on_after(self, result: Result | None, node: NodeT) -> bool:
        """Note how a try ended, None for a node that was lost; return whether to try another node."""
        if result is not None and not result.is_sandbox_fault:
            return False
        self.avoid.add(node)
        self._losses += result is None
        self._faults += result is not None
        if self._losses + self._faults >= NODES_PER_CALL or self._faults >= FAULTS_PER_CALL:
            return False
        self.attempts += 1 if result is None else result.attempt
        return True
