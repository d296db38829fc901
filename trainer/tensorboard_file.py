"""Scalars as a tensorboard event file.

Tensorboard's own writer is not used: it writes in a thread, which prints a traceback of its own when the disk
is full.
"""

import io
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TensorboardFile:
    """Writes ``tensorboard/`` in a folder, each call at once; raises ``OSError``.

    Of older files there, tensorboard is told to forget what came after step ``after``.
    """

    def __init__(self, folder: Path, *, after: int | None = None) -> None:
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / "tensorboard" / name
        self._path.parent.mkdir(exist_ok=True)
        self._append(file_version="brain.Event:2")
        if after is not None:
            self._append(step=after + 1, session_log={"status": "START"})

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Append the scalars of a step."""
        values = [{"tag": tag, "simple_value": value} for tag, value in scalars.items()]
        self._append(step=step, summary={"value": values})

    def close(self) -> None:
        """Nothing is held open."""

    def _append(self, **fields: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.summary.writer.record_writer import RecordWriter

        record = io.BytesIO()
        RecordWriter(record).write(Event(wall_time=time.time(), **fields).SerializeToString())
        with self._path.open("ab") as file:
            file.write(record.getvalue())
