"""The data of the page: a header in JSON and columns of unsigned numbers, compressed, in base64.

A column takes the narrowest type that holds it; the type's largest number stands for what is not there. Times
are in units that let the run fit into 32 bits. Knows nothing of how it is drawn.
"""

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ..cause import Cause
from ..timeline import PARTS, Change, Level, Timeline
from ..timeline_table import UNSET
from .causes import ORDER
from .text import visible

_TYPES = ("u1", "u2", "u4")
_FINE = 65_534  # steps of a level, and of a share
Numbers = npt.NDArray[Any]


def payload(timeline: Timeline) -> str:
    """The timeline for the page's script."""
    columns = _Columns()
    unit = _unit(timeline.wall_ns)
    _add_bins(columns, timeline)
    _add_lives(columns, timeline, unit)
    lives = timeline.lives
    rewards = _distinct(np.array(lives.rewards))
    columns.add("lives.reward", _places(np.array(lives.rewards), rewards))
    header = {
        "unit_ns": unit,
        "wall_ns": timeline.wall_ns,
        "bin_ns": timeline.width,
        "bins": timeline.bins,
        "engines": [visible(engine) for engine in timeline.engines],
        "gpus": [visible(gpu) for gpu in timeline.sampled_gpus()],
        "gpu_engines": [
            [number for number, engine in enumerate(timeline.engines) if gpu in timeline.gpus.get(engine, ())]
            for gpu in timeline.sampled_gpus()
        ],
        "causes": _present(timeline),
        "phases": _changes(timeline.phases),
        "stages": _changes(timeline.stages),
        "versions": _changes(timeline.versions),
        "ids": [visible(id) for id in lives.ids],
        "words": [visible(word) for word in lives.words],
        "rewards": rewards.tolist(),
        "turn_engines": [visible(engine) for engine in lives.engines],
        "columns": columns.directory,
    }
    head = msgspec.json.encode(header)
    head += b" " * (-(len(head) + 4) % 4)
    packed = zlib.compress(len(head).to_bytes(4, "little") + head + columns.data, 6)
    return base64.b64encode(packed).decode()


class _Columns:
    """Columns one after the other, each where its type may begin; the directory says which is where."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.directory: dict[str, dict[str, Any]] = {}

    def add(self, name: str, values: npt.ArrayLike, *, scale: float = 1.0) -> None:
        """Add integers; negative ones are not there."""
        numbers = np.asarray(values, np.int64)
        largest = int(numbers.max(initial=0))
        type = next(t for t in _TYPES if largest < np.iinfo(t).max)
        column = np.where(numbers < 0, np.iinfo(type).max, numbers).astype("<" + type)
        self.data += b"\0" * (-len(self.data) % 4)
        self.directory[name] = {
            "type": type,
            "at": len(self.data),
            "count": int(numbers.size),
            "scale": scale,
        }
        self.data += column.tobytes()

    def add_fine(self, name: str, values: Numbers) -> None:
        """Add fractions, NaN where there are none, in steps of their largest."""
        largest = float(np.nanmax(values, initial=0.0)) if values.size else 0.0
        step = largest / _FINE or 1.0
        self.add(name, np.where(np.isnan(values), UNSET, np.round(values / step)), scale=step)


def _add_bins(columns: _Columns, timeline: Timeline) -> None:
    """Shares by cause, a row an engine; mean levels, with a row for each of those that have one."""
    causes = [timeline.causes(engine) for engine in timeline.engines]
    for cause in _present(timeline):
        nothing = np.zeros(timeline.bins, np.int64)
        ns = np.array([of_engine.get(cause, nothing) for of_engine in causes])
        columns.add(f"cause:{cause}", np.round(ns / timeline.width * _FINE), scale=1 / _FINE)
    widths = _widths(timeline)
    for name in ("ready", "tools", "live"):
        columns.add_fine(name, timeline.level(name) / widths)
    columns.add_fine("running", _rows(timeline, "running", timeline.engines) / widths)
    columns.add_fine("kv", _share(timeline, "kv", "kv_seen", timeline.engines))
    if gpus := timeline.sampled_gpus():
        columns.add_fine("sm", _share(timeline, "sm", "sm_seen", gpus))


def _present(timeline: Timeline) -> list[Cause]:
    found = {cause for engine in timeline.engines for cause in timeline.causes(engine)}
    return [cause for cause in ORDER if cause in found]


def _widths(timeline: Timeline) -> Numbers:
    widths = np.full(timeline.bins, float(timeline.width))
    if timeline.bins:
        widths[-1] = timeline.wall_ns - timeline.width * (timeline.bins - 1)
    return widths


def _rows(timeline: Timeline, level: Level, owners: Sequence[str]) -> Numbers:
    return np.array([timeline.level(level, owner) for owner in owners]).reshape(len(owners), timeline.bins)


def _share(timeline: Timeline, level: Level, seen: Level, owners: Sequence[str]) -> Numbers:
    """The mean over the time in which it is known, NaN where it is not."""
    known = _rows(timeline, seen, owners).astype(float)
    known[known == 0] = np.nan
    return np.asarray(_rows(timeline, level, owners) / known / PARTS)


def _add_lives(columns: _Columns, timeline: Timeline, unit: int) -> None:
    """Tables sorted by trajectory and time, so that each one's rows are together."""
    lives = timeline.lives
    times = {"start", "end", "ready", "dispatched", "queued", "first", "t"}
    turn_order = np.lexsort((_ints(lives.turns["ready"]), _ints(lives.turns["life"])))
    place = np.empty_like(turn_order)
    place[turn_order] = np.arange(len(turn_order))
    held = place[_ints(lives.holds["turn"])]
    orders = {
        "lives": np.arange(len(lives.lives)),
        "turns": turn_order,
        "holds": np.lexsort((_ints(lives.holds["t"]), held)),
        "tools": np.lexsort((_ints(lives.tools["start"]), _ints(lives.tools["life"]))),
    }
    for table, order in orders.items():
        for name, column in getattr(lives, table).columns.items():
            values = _ints(column)
            if (table, name) == ("holds", "turn"):
                values = held
            elif name in times:
                values = np.where(values < 0, UNSET, (values + unit // 2) // unit)
            columns.add(f"{table}.{name}", values[order])


def _distinct(rewards: Numbers) -> Numbers:
    """The rewards that occur; they are few, and may be below 0."""
    return np.unique(rewards[~np.isnan(rewards)])


def _places(rewards: Numbers, distinct: Numbers) -> Numbers:
    return np.where(np.isnan(rewards), UNSET, np.searchsorted(distinct, rewards))


def _ints(column: "npt.ArrayLike") -> npt.NDArray[np.int64]:
    return np.asarray(column).astype(np.int64)


def _changes(changes: Sequence[Change]) -> list[list[Any]]:
    return [[change.t / 1e9, visible(change.what), change.number] for change in changes]


def _unit(wall_ns: int) -> int:
    """The least power of ten from 1 µs on in which the whole time is below 2**32."""
    unit = 1_000
    while wall_ns // unit >= 2**32 - 1:
        unit *= 10
    return unit
