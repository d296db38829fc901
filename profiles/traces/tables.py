"""An event log as tables for other tools: turns, trajectories, tool calls and engines, as parquet files.

Times are nanoseconds since the log's header; every field says its unit in its metadata. Rows are written as
what they tell of ends, in pieces, so that memory holds only what is under way. Events of trajectories that
never started have no rows.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..event_log import Reader
from .rows import Rows

_PIECE = 50_000  # rows

_TEXT, _COUNT, _NS, _SECONDS = pa.string(), pa.int64(), pa.int64(), pa.float64()


def _field(name: str, type: Any, unit: str = "") -> Any:
    return pa.field(name, type, metadata={"unit": unit} if unit else None)


def _counts(*names: str) -> list[Any]:
    return [_field(name, _COUNT, "tokens") for name in names]


SCHEMAS: Mapping[str, Any] = {
    "turns": pa.schema(
        [
            _field("trajectory", _TEXT),
            _field("group", _TEXT),
            _field("turn", _COUNT),
            _field("status", _TEXT),
            _field("engine", _TEXT),
            _field("ready_ns", _NS, "ns"),
            _field("dispatched_ns", _NS, "ns"),
            _field("ended_ns", _NS, "ns"),
            _field("held", _TEXT),
            _field("dispatch_reason", _TEXT),
            *_counts("prompt", "cached", "generated"),
            _field("preemptions", _COUNT),
            _field("queue_s", _SECONDS, "s"),
            _field("first_token_s", _SECONDS, "s"),
            _field("first_version", _COUNT),
            _field("last_version", _COUNT),
            _field("finish", _TEXT),
        ]
    ),
    "trajectories": pa.schema(
        [
            _field("trajectory", _TEXT),
            _field("group", _TEXT),
            _field("task", _TEXT),
            _field("started_ns", _NS, "ns"),
            _field("ended_ns", _NS, "ns"),
            _field("status", _TEXT),
            _field("cause", _TEXT),
            _field("turns", _COUNT),
            *_counts("tokens"),
            _field("reward", pa.float64()),
        ]
    ),
    "tools": pa.schema(
        [
            _field("trajectory", _TEXT),
            _field("turn", _COUNT),
            _field("tool", _TEXT),
            _field("started_ns", _NS, "ns"),
            _field("ended_ns", _NS, "ns"),
            _field("status", _TEXT),
        ]
    ),
    "engines": pa.schema(
        [
            _field("engine", _TEXT),
            _field("kind", _TEXT),
            _field("version", _TEXT),
            _field("device", _TEXT),
            *_counts("kv_tokens", "block_size", "max_context"),
            _field("max_num_seqs", _COUNT),
            _field("gpus", pa.list_(_TEXT)),
            _field("pid", _COUNT),
            _field("turns", _COUNT),
            *_counts("prompt", "cached", "generated"),
            _field("preemptions", _COUNT),
        ]
    ),
}


def write_tables(log: Path, folder: Path) -> dict[str, int]:
    """Write ``turns.parquet`` and its like into a folder that is there; how many rows each has."""
    reader = Reader(log)
    rows = Rows(engines=reader.header.engines, start=reader.header.t)
    with ExitStack() as open_files:
        tables = {name: _Table(folder / f"{name}.parquet", schema) for name, schema in SCHEMAS.items()}
        for table in tables.values():
            open_files.callback(table.close)
        for event in reader:
            for name, row in rows.take(event):
                tables[name].add(row)
        for name, row in rows.rest():
            tables[name].add(row)
    return {name: table.rows for name, table in tables.items()}


class _Table:
    """One file, written in pieces."""

    def __init__(self, path: Path, schema: Any) -> None:
        self.rows = 0
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._piece: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self.rows += 1
        self._piece.append(row)
        if len(self._piece) >= _PIECE:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._piece, schema=self._schema))
        self._piece = []
