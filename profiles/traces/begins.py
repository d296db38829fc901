"""Which trajectories of a run share a prompt, and what made each such group begin: others that had completed.

Invariants: a group has completed when all trajectories of its name have ended, those too that cannot be
played; one with a trajectory that never ended has not. Of what happened at one moment, the order of the
events decides.
"""

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from .trajectories import Trajectory

Clan = list[Trajectory]  # siblings with a prompt of one length


class Begin(msgspec.Struct, frozen=True):
    """``delay_s`` after ``after`` groups had completed, ``since_first_s`` after the first of all began."""

    after: int
    delay_s: float
    since_first_s: float


def clans_of(kept: Iterable[Trajectory]) -> list[Clan]:
    """The trajectories by group and length of the prompt, in the order in which they began."""
    clans: defaultdict[tuple[str, int], Clan] = defaultdict(list)
    for each in kept:
        clans[each.group, each.turns[0].context].append(each)
    return list(clans.values())


def begins_of(clans: list[Clan], everyone: Iterable[Trajectory]) -> list[Begin]:
    """When each clan began."""
    completions = _completions(clans, everyone)
    orders = [order for order, _ in completions]
    first = clans[0][0].start
    begins = []
    for clan in clans:
        began = clan[0]
        after = bisect.bisect(orders, began.order)
        since = completions[after - 1][1] if after else first
        begins.append(Begin(after, (began.start - since) / 1e9, (began.start - first) / 1e9))
    return begins


def _completions(clans: list[Clan], everyone: Iterable[Trajectory]) -> list[tuple[int, int]]:
    """The order and the time of each completion of a clan."""
    last: dict[str, Trajectory] = {}
    open_ended: set[str] = set()
    for each in everyone:
        if each.end is None:
            open_ended.add(each.group)
        elif each.group not in last or each.end_order > last[each.group].end_order:
            last[each.group] = each
    sizes = Counter(clan[0].group for clan in clans)
    return sorted(
        (ended.end_order, ended.end or 0)
        for group, ended in last.items()
        if group not in open_ended
        for _ in range(sizes[group])
    )
