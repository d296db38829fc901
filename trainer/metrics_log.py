"""Training metrics, to JSON lines, tensorboard and wandb, whichever of them are asked for.

Invariants: one line and one set of scalars a call, under the same names, nested names joined by a slash; the
files are written before the call returns, so that a full disk is the caller's error, and are not held open.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from headway.errors import HeadwayError

from .tensorboard_file import TensorboardFile
from .wandb_run import WandbRun, require_wandb

LogKind = Literal["jsonl", "tensorboard", "wandb"]
BOTH_FILES: tuple[LogKind, ...] = ("jsonl", "tensorboard")


class ScalarSink(Protocol):
    """Somewhere that scalars go."""

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Take in the scalars of a step."""
        ...

    def close(self) -> None:
        """Take in that there are no more."""
        ...


def check_log(kinds: Sequence[LogKind]) -> None:
    """Raise ``InputError`` for a log that cannot be had here."""
    if "wandb" in kinds:
        require_wandb()


class MetricsLog:
    """Writes into a folder; raises ``HeadwayError`` where it cannot. ``config`` is told to wandb alone.

    ``after``: the last step of an earlier log in that folder which still holds; what came later does not.
    """

    def __init__(
        self,
        folder: Path,
        kinds: Sequence[LogKind] = BOTH_FILES,
        config: Mapping[str, Any] | None = None,
        *,
        after: int | None = None,
    ) -> None:
        self._folder = folder
        self._lines = folder / "metrics.jsonl" if "jsonl" in kinds else None
        self._sinks: list[ScalarSink] = []
        try:
            if "tensorboard" in kinds:
                self._sinks.append(TensorboardFile(folder, after=after))
            if "wandb" in kinds:
                self._sinks.append(WandbRun(folder, config or {}))
        except OSError as error:
            raise self._failed(error) from error

    def write(self, step: int, kind: str, record: msgspec.Struct) -> None:
        """Append one record; ``kind`` says of what, such as ``step`` or ``eval``."""
        line = msgspec.json.encode({"kind": kind, "step": step, **msgspec.structs.asdict(record)})
        scalars = {f"{kind}/{name}": value for name, value in _scalars(msgspec.to_builtins(record))}
        try:
            if self._lines is not None:
                with self._lines.open("ab") as file:
                    file.write(line + b"\n")
            for sink in self._sinks:
                sink.write(step, scalars)
        except OSError as error:
            raise self._failed(error) from error

    @property
    def size(self) -> int | None:
        """The bytes that the JSON lines have; None where none are written."""
        if self._lines is None:
            return None
        return self._lines.stat().st_size if self._lines.exists() else 0

    def close(self) -> None:
        """End what a sink has begun; the files are not held open."""
        for sink in self._sinks:
            sink.close()

    def _failed(self, error: OSError) -> HeadwayError:
        return HeadwayError(f"{self._folder}: cannot write the metrics: {error.strerror}")


def _scalars(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield prefix + name, float(value)
