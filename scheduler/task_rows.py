"""Reads a table, whatever file it is in: JSON lines, JSON, CSV, TSV or parquet, by the file's suffix.

Invariants: every row knows its place (file and line, or file and row) for whoever finds fault with it; an
empty cell is no cell. Knows nothing of what columns mean.
"""

import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import InputError


class Row(msgspec.Struct, frozen=True):
    """One row: where it stands, and its cells by the names of their columns."""

    place: str
    columns: dict[str, Any]

    def get(self, *names: str) -> Any:
        """The first cell whose column has one of these names, or None; case and blanks do not count."""
        cells = {_plain(name): value for name, value in self.columns.items()}
        return next((cells[name] for name in names if name in cells), None)

    def text(self, *names: str) -> str | None:
        """The same as text; raises ``InputError`` for a cell that holds neither text nor a number."""
        value = self.get(*names)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None or isinstance(value, str | int | float):
            return None if value is None else str(value).strip() or None
        raise InputError(f"{self.place}: {names[0]} is neither text nor a number: {value!r:.60}")

    @property
    def names(self) -> str:
        """The columns, for messages."""
        return ", ".join(self.columns)


def read_rows(path: Path) -> list[Row]:
    """Read a whole file; raises ``InputError`` where it cannot be read or a row is none."""
    try:
        match path.suffix.lower():
            case ".parquet":
                return list(_parquet(path))
            case ".csv" | ".tsv" as suffix:
                return list(_table(path, "\t" if suffix == ".tsv" else ","))
            case ".json":
                return list(_document(path))
            case _:
                return list(_lines(path, path.read_bytes()))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot read the task file: {reason}") from error


def _lines(path: Path, text: bytes) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _row(f"{path}:{number}", _decode(line, f"{path}:{number}"))


def _document(path: Path) -> Iterator[Row]:
    """A list of objects, or an object with one list of them in it; also lines that are called ``.json``."""
    text = path.read_bytes()
    if len([line for line in text.splitlines() if line.strip().startswith(b"{")]) > 1 and _is_lines(text):
        yield from _lines(path, text)
        return
    value = _decode(text, str(path))
    if isinstance(value, dict):
        lists = [inner for inner in value.values() if isinstance(inner, list)]
        value = lists[0] if len(lists) == 1 else [value]
    if not isinstance(value, list):
        raise InputError(f"{path}: not a list of tasks but a {type(value).__name__}")
    for number, item in enumerate(value, 1):
        yield _row(f"{path}: row {number}", item)


def _is_lines(text: bytes) -> bool:
    try:
        msgspec.json.decode(next(line for line in text.splitlines() if line.strip()))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _decode(text: bytes, place: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{place}: not a task: {error}") from error


def _table(path: Path, delimiter: str) -> Iterator[Row]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    place = f"{path}:1"
    try:
        width = len(reader.fieldnames or ())
        while True:
            place = f"{path}:{reader.line_num + 1}"
            cells = next(reader, None)
            if cells is None:
                return
            if None in cells or None in cells.values():
                raise InputError(f"{place}: the row has not the {width} cells that the heading asks for")
            yield _row(place, cells)
    except csv.Error as error:
        raise InputError(f"{place}: not a row of a table: {error}") from error


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: not a parquet file: {error}") from error
    for number, cells in enumerate(rows, 1):
        yield _row(f"{path}: row {number}", cells)


def _row(place: str, cells: Any) -> Row:
    if not isinstance(cells, dict):
        raise InputError(f"{place}: not a task: expected an object, got {type(cells).__name__}")
    return Row(place, {name: value for name, value in cells.items() if not _is_empty(value)})


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.strip().lower())
