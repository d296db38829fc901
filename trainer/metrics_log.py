"""Training metrics, to a JSON-lines file and to tensorboard at once.

Invariant: one line and one set of scalars a call, under the same names, nested names joined by a slash.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import HeadwayError


class MetricsLog:
    """Writes ``metrics.jsonl`` and ``tensorboard/`` in a folder."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._path = folder / "metrics.jsonl"
        self._board: Any = SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, kind: str, record: msgspec.Struct) -> None:
        """Append one record; ``kind`` says of what, such as ``step`` or ``eval``."""
        line = msgspec.json.encode({"kind": kind, "step": step, **msgspec.structs.asdict(record)})
        try:
            with self._path.open("ab") as file:
                file.write(line + b"\n")
            for name, value in _scalars(msgspec.to_builtins(record)):
                self._board.add_scalar(f"{kind}/{name}", value, step)
            self._board.flush()
        except OSError as error:
            raise HeadwayError(f"{self._path}: cannot write the metrics: {error.strerror}") from error

    def close(self) -> None:
        """Close both."""
        self._board.close()


def _scalars(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield prefix + name, float(value)
