"""Finds the best limit of a policy that has one, as somebody would who tunes it for each workload.

The limit is the same for all seeds of a cell: the one whose median makespan is least.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from .cell import Cell, task_of
from .row import Row

SWEPT = "capped"
POINTS = 9
_PREFIX = f"{SWEPT}:limit="


def limits(seeds: Sequence[Cell]) -> list[int]:
    """A geometric grid of trajectories an engine, from what surely fits to all there are.

    ``seeds`` are cells that differ by their seed only: all get the same grid, so that one limit can be best.
    """
    workloads = [task_of(cell).workload for cell in seeds]
    most = max(-(-workload.trajectories // seeds[0].engines) for workload in workloads)
    least = min(max(seeds[0].kv_tokens // max(w.max_context for w in workloads), 1), most)
    grid = {round(least * (most / least) ** (point / (POINTS - 1))) for point in range(POINTS)}
    return sorted(grid)


def swept_specs(seeds: Sequence[Cell]) -> list[str]:
    """The policies of a sweep."""
    return [f"{_PREFIX}{limit}" for limit in limits(seeds)]


def is_swept(row: Row) -> bool:
    """Whether a row is one point of a sweep."""
    return row.policy.startswith(_PREFIX)


def best_limits(rows: Iterable[Row]) -> list[Row]:
    """For each suite, fleet and pressure the rows of the best limit, under a name that says so."""
    points: defaultdict[tuple[str, int, float], defaultdict[str, list[Row]]]
    points = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if is_swept(row):
            points[row.suite, row.engines, row.pressure][row.policy].append(row)
    best: list[Row] = []
    for by_limit in points.values():
        seeds = max(len(same) for same in by_limit.values())
        complete = [same for same in by_limit.values() if len(same) == seeds]
        least = min(complete, key=lambda same: statistics.median(row.makespan_s for row in same))
        best += [
            msgspec.structs.replace(
                row, policy=f"{SWEPT} (best limit)", limit=int(row.policy.removeprefix(_PREFIX))
            )
            for row in least
        ]
    return best
