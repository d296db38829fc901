"""Brings events into the order of time: those of a record, and those that reading it has found.

Knows nothing of what they mean.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator

from headway.scheduler.events import Event

from .gpu.sample import GpuSample

LATEST_NS = 3_000_000_000  # that a sample of a GPU may arrive after events that are later


def in_time(events: Iterable[Event], found: Iterable[Event]) -> Iterator[Event]:
    """Both in order of time; what was found comes after the events of the same moment."""
    return heapq.merge(_sorted(events), found, key=lambda event: event.t)


def _sorted(events: Iterable[Event]) -> Iterator[Event]:
    """Put samples of GPUs, which arrive late, in their place among the other events."""
    on_time: deque[Event] = deque()
    late: list[tuple[int, int, GpuSample]] = []
    for number, event in enumerate(events):
        if isinstance(event, GpuSample):
            heapq.heappush(late, (event.t, number, event))
        else:
            on_time.append(event)
        while on_time and on_time[0].t < event.t - LATEST_NS:
            while late and late[0][0] < on_time[0].t:
                yield heapq.heappop(late)[2]
            yield on_time.popleft()
    yield from heapq.merge(
        on_time, (heapq.heappop(late)[2] for _ in range(len(late))), key=lambda event: event.t
    )
