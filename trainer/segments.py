"""Which tokens of a flat batch belong together: sums and means over each rollout.

Invariant: a rollout's tokens are all in one batch, so what is said of a rollout needs no other batch.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Segments:
    """``of``: [N], the rollout of each token; ``lengths``: [S], float, the tokens of each rollout."""

    of: Tensor
    lengths: Tensor

    def sum(self, values: Tensor) -> Tensor:
        """Give each token, [N], the sum of ``values``, [N], over its rollout."""
        return values.new_zeros(len(self.lengths)).index_add(0, self.of, values)[self.of]

    def mean(self, values: Tensor) -> Tensor:
        """Give each token, [N], the mean of ``values``, [N], over its rollout."""
        return self.sum(values) / self.lengths[self.of]
