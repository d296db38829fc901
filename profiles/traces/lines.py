"""The lines of a file of JSON lines, compressed by gzip or not, one at a time.

Knows nothing of what is in them.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from headway.errors import InputError

_GZIP = b"\x1f\x8b"


class Truncated(InputError):
    """The end of a compressed file is missing."""


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield every line that is not blank, with its number; raises ``InputError`` for what cannot be read."""
    number = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except EOFError as error:
        raise Truncated(f"{path}: ends within line {number + 1}: {error}") from error
    except OSError as error:
        after = f" after line {number}" if number else ""
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot read it{after}: {reason}") from error


def _opened(path: Path) -> BinaryIO:
    file = path.open("rb")
    compressed = file.read(2) == _GZIP
    file.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if compressed else file
