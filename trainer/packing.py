"""Deals sequences of different lengths to ranks, and puts them into rows of about the same length, so that
little is computed for padding.

Invariant: every sequence is in exactly one row, whole. Pure arithmetic over lengths.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from heapq import heapreplace

_WIDTHS = (
    1.0,
    1.25,
    1.5,
    1.75,
    2.0,
)  # of rows, in longest sequences: attention is over rows, so they stay short

Rows = list[list[int]]


def deal(lengths: Sequence[int], ranks: int) -> list[list[int]]:
    """Return the indices of each rank, in order, so that all have about the same sum of lengths.

    Longest first, each to whom has the least; sums differ by no more than the longest.
    """
    hands: Rows = [[] for _ in range(ranks)]
    least = [(0, rank) for rank in range(ranks)]
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        used, rank = least[0]
        hands[rank].append(index)
        heapreplace(least, (used + lengths[index], rank))
    return [sorted(hand) for hand in hands]


def plan(lengths: Sequence[int], budget: int, *, packing: bool = True) -> list[Rows]:
    """Return batches of rows of indices; rows of a batch times its longest are at most ``budget``.

    A sequence that is longer makes a batch as long as it is. Without ``packing`` each has a row of its own.
    Of a few widths for the rows the one is taken with which the least is computed.
    """
    longest = max(lengths, default=0)
    if not packing:
        return _batches(lengths, pack(lengths, 0), budget)
    widths = [max(longest, min(int(share * longest), budget)) for share in _WIDTHS]
    plans = [_batches(lengths, pack(lengths, width), budget) for width in sorted(set(widths))]
    return min(plans, key=lambda batches: sum(_computed(lengths, rows) for rows in batches))


def pack(lengths: Sequence[int], width: int) -> Rows:
    """Return rows of indices, each at most ``width`` long in sum; what is longer has a row of its own.

    Best fit, longest first: each goes into the row that has the least room left for it. Equal lengths keep
    their order.
    """
    rows: Rows = []
    rooms: list[tuple[int, int]] = []  # room left and row, sorted
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        at = bisect_left(rooms, (lengths[index], 0))
        if at == len(rooms):
            room, row = width, len(rows)
            rows.append([])
        else:
            room, row = rooms.pop(at)
        rows[row].append(index)
        insort(rooms, (room - lengths[index], row))
    return rows


def _batches(lengths: Sequence[int], rows: Rows, budget: int) -> list[Rows]:
    """Rows of about the same length together, as many as the budget allows."""
    batches: list[Rows] = []
    for row in sorted(rows, key=lambda row: _used(lengths, row)):
        if batches and (len(batches[-1]) + 1) * _used(lengths, row) <= budget:  # it is the longest so far
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def _computed(lengths: Sequence[int], rows: Rows) -> int:
    return len(rows) * max(_used(lengths, row) for row in rows)


def _used(lengths: Sequence[int], row: Sequence[int]) -> int:
    return sum(lengths[index] for index in row)
