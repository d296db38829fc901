"""Decides on which machine the next node starts: the alive one with the fewest of ours.

Knows nothing of Ray.
"""

from collections import Counter
from collections.abc import Collection, Sequence


def choose_machine(alive: Sequence[str], used: Collection[str], *, at_most: int) -> str | None:
    """Return the alive machine that occurs least in ``used``, None if each does ``at_most`` times."""
    counts = Counter(used)
    free = [machine for machine in alive if counts[machine] < at_most]
    return min(free, key=lambda machine: counts[machine], default=None)
