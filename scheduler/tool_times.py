"""How long tools take, learned online, and for how long it pays to hold a trajectory's KV meanwhile.

To hold it costs one a second; to give it up costs ``break_even`` seconds' worth, its prefill. With waits X
like the latest ``KEPT`` ones, to give up after s seconds costs on average

    E[min(X, s)] + P(X > s) * break_even

and the best s is the one that costs least, among the waits that were seen. Beyond the longest of these
nothing is known, so that what is held to there is held for ``break_even`` longer. Where nothing is known at
all that is ski rental, which never costs more than twice what foresight would (Karlin and others,
Algorithmica 11, 1994). A wait that has not ended is not seen yet.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

KEPT = 512
ENOUGH = 32
REFRESH = 16  # waits that are learned between two looks at all of them


class ToolTimes:
    """The latest waits, in seconds."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=KEPT)
        self._since_refresh = 0
        self._waits: NDArray[np.float64] = np.zeros(1)  # sorted, 0 first
        self._waited: NDArray[np.float64] = np.zeros(1)  # mean of what was waited, by when it was given up
        self._beyond: NDArray[np.float64] = np.zeros(1)  # the share of waits that were longer

    def learn(self, seconds: float) -> None:
        """Take in how long a trajectory was in its tool."""
        self._latest.append(seconds)
        self._since_refresh += 1
        if self._since_refresh >= REFRESH and len(self._latest) >= ENOUGH:
            self._refresh()

    def hold_s(self, break_even: float) -> float:
        """For how many seconds to hold what costs ``break_even`` seconds of holding to give up."""
        best = int(np.argmin(self._waited + self._beyond * break_even))
        if best == len(self._waits) - 1:
            return float(self._waits[-1]) + break_even
        return float(self._waits[best])

    def _refresh(self) -> None:
        self._since_refresh = 0
        self._waits = np.concatenate([[0.0], np.sort(np.fromiter(self._latest, dtype=np.float64))])
        count = len(self._latest)
        longer = count - np.arange(count + 1)
        self._waited = (np.cumsum(self._waits) + longer * self._waits) / count
        self._beyond = longer / count
