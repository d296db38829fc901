"""Reads files of rollout records, one a line, however large they are.

Invariants: a last line that was torn as its writer died is left out; any other line that is no record is an
``InputError`` that names it.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from headway.errors import InputError
from headway.scheduler import Rollout


def read_rollouts(path: Path) -> Iterator[Rollout]:
    """Yield the records of a file in order; raises ``InputError``."""
    decoder = msgspec.json.Decoder(Rollout)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise InputError(f"{path}:{number}: not a rollout record: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot read the rollouts: {error.strerror}") from error
