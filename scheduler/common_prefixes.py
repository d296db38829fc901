"""Finds what the prompts of different groups begin with in common, such as a system prompt.

A new group's prompt is held against those of a few groups before it. What it has in common with one of them,
beyond what is known already to be common, becomes a segment, cut to a multiple of ``CHANCE`` tokens. The
first group of its kind has nothing to be held against, so its beginning is counted apart: an overestimate by
one prompt, never an underestimate.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence

from .ledger import Segment

KINDS = 8  # prompts that a new one is held against
ROOTS = 64  # beginnings that are remembered, the latest
GROUPS = 1024  # groups that are remembered, the latest
CHANCE = 32  # tokens that questions may have in common by chance


class CommonPrefixes:
    """Names the segments that a group's prompt consists of."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, tuple[Segment, ...]] = OrderedDict()
        self._kinds: deque[Sequence[int]] = deque(maxlen=KINDS)
        self._roots: OrderedDict[Segment, Sequence[int]] = OrderedDict()

    def segments(self, group: str, prompt: Sequence[int]) -> tuple[Segment, ...]:
        """What the prompt begins with that other groups share, if anything, and the group's own part."""
        known = self._groups.get(group)
        if known is not None and known[-1].end == len(prompt):
            self._groups.move_to_end(group)
            return known
        common = max((_common(prompt, kind) for kind in self._kinds), default=0)
        roots = [root for root, tokens in self._roots.items() if prompt[: root.end] == tokens]
        roots.sort(key=lambda root: root.end)
        if common - (roots[-1].end if roots else 0) >= CHANCE:
            roots.append(self._root(prompt[: common - common % CHANCE]))
        if 8 * common < len(prompt):
            self._kinds.append(prompt)
        segments = self._groups[group] = (*roots, Segment(group, len(prompt)))
        if len(self._groups) > GROUPS:
            self._groups.popitem(last=False)
        return segments

    def _root(self, tokens: Sequence[int]) -> Segment:
        root = Segment(f"common {hash(tuple(tokens))}", len(tokens))
        self._roots[root] = tokens
        if len(self._roots) > ROOTS:
            self._roots.popitem(last=False)
        return root


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """The length of the longest common beginning, by bisection over slices."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
