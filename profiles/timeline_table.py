"""Rows of numbers in columns: a few bytes a figure where a struct a row would take hundreds.

Knows nothing of what the columns mean.
"""

from array import array
from collections.abc import Iterator

UNSET = -1  # in a column of integers


class Names:
    """Numbers names in the order in which they appear."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The number of a name."""
        return self._numbers.setdefault(name, len(self._numbers))

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


class Table:
    """Columns of integers, by name with a type code of ``array``: "q" for times, "i" for what is small."""

    def __init__(self, **types: str) -> None:
        self.columns: dict[str, array[int]] = {name: array(code) for name, code in types.items()}
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, column: str) -> "array[int]":
        return self.columns[column]

    def add(self, **values: int) -> int:
        """Add a row, with ``UNSET`` in the columns that are not given; return its number."""
        for name, column in self.columns.items():
            column.append(values.get(name, UNSET))
        self._rows += 1
        return self._rows - 1

    def set(self, row: int, **values: int) -> None:
        """Fill in columns of a row."""
        for name, value in values.items():
            self.columns[name][row] = value
