"""How figures are spread: a few percentiles of many of them."""

from collections.abc import Sequence

import msgspec
import numpy as np


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles by linear interpolation; all zero where there is nothing."""

    count: int
    p50: float
    p90: float
    p99: float
    largest: float
    total: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        """The spread of some figures, in any order."""
        if not len(figures):
            return cls(count=0, p50=0.0, p90=0.0, p99=0.0, largest=0.0, total=0.0)
        array = np.asarray(figures, dtype=np.float64)
        p50, p90, p99, largest = np.percentile(array, [50, 90, 99, 100])
        return cls(
            count=len(figures),
            p50=float(p50),
            p90=float(p90),
            p99=float(p99),
            largest=float(largest),
            total=float(array.sum()),
        )
