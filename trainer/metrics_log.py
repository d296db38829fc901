"""Training metrics, to a JSON-lines file and to tensorboard at once.

Invariants: one line and one set of scalars a call, under the same names, nested names joined by a slash; both
are written before the call returns, so that a full disk is the caller's error, and nothing is held open.
"""

import io
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import HeadwayError


class MetricsLog:
    """Writes ``metrics.jsonl`` and ``tensorboard/`` in a folder; raises ``HeadwayError`` where it cannot."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self._board = folder / "tensorboard" / name
        try:
            self._board.parent.mkdir(exist_ok=True)
            _append(self._board, _event(file_version="brain.Event:2"))
        except OSError as error:
            raise self._failed(error) from error

    def write(self, step: int, kind: str, record: msgspec.Struct) -> None:
        """Append one record; ``kind`` says of what, such as ``step`` or ``eval``."""
        line = msgspec.json.encode({"kind": kind, "step": step, **msgspec.structs.asdict(record)})
        scalars = [
            {"tag": f"{kind}/{name}", "simple_value": value}
            for name, value in _scalars(msgspec.to_builtins(record))
        ]
        try:
            _append(self._folder / "metrics.jsonl", line + b"\n")
            _append(self._board, _event(step=step, summary={"value": scalars}))
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Nothing is held open."""

    def _failed(self, error: OSError) -> HeadwayError:
        return HeadwayError(f"{self._folder}: cannot write the metrics: {error.strerror}")


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _event(**fields: Any) -> bytes:
    """One record of a tensorboard event file.

    Tensorboard's own writer is not used: it writes in a thread, which prints a traceback of its own when
    the disk is full.
    """
    from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboard.summary.writer.record_writer import RecordWriter

    record = io.BytesIO()
    RecordWriter(record).write(Event(wall_time=time.time(), **fields).SerializeToString())
    return record.getvalue()


def _scalars(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield prefix + name, float(value)
