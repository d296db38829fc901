"""Reads files of rollout records, one a line, however large they are.

Invariants: a last line that was torn as its writer died is left out; any other line that is no record is an
``InputError`` that names it.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import msgspec

from headway.errors import InputError
from headway.scheduler import Rollout

_decoder = msgspec.json.Decoder(Rollout)


def read_rollouts(path: Path) -> Iterator[Rollout]:
    """Yield the records of a file in order; raises ``InputError``."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield decode_rollout(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise InputError(f"{path}:{number}: not a rollout record: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot read the rollouts: {error.strerror}") from error


def decode_rollout(line: bytes) -> Rollout:
    """Return a record; what is null among its logprobs was no number, for which JSON has no word.

    Raises ``msgspec.DecodeError``.
    """
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError:
        record = msgspec.json.decode(line)
        if not isinstance(record, dict) or None not in (record.get("logprobs") or ()):
            raise
        record["logprobs"] = [math.nan if value is None else value for value in record["logprobs"]]
        return msgspec.convert(record, Rollout)
