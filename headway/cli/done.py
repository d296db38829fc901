"""What a file of rollout records holds already, so that an interrupted job can go on with it.

Invariants: records of failed rollouts do not count as done; a last line that was torn as its writer died is
no error and is cut off by ``mend``; any other line that is no record is one, and the file stays as it is.
"""

import collections
import re
from pathlib import Path

import msgspec

from headway.errors import HeadwayError, InputError
from headway.scheduler.rollout import Failure

_GROUP = re.compile(r"g(\d+)")
_START = b'{"id":"'  # of every record; a torn line that starts otherwise is not ours to cut off


class _Record(msgspec.Struct):
    task: str
    group: str
    failure: Failure | None = None


class Done(msgspec.Struct):
    """Rollouts by task, the highest number of a group, and the bytes at the end that are no record."""

    samples: collections.Counter[str] = msgspec.field(default_factory=collections.Counter)
    groups: int = 0
    whole: int = 0
    torn: int = 0

    @classmethod
    def read(cls, path: Path) -> "Done":
        """Read a file; raises ``InputError`` that names the first line that is no record."""
        done = cls()
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    done._take(line, f"{path}:{number}")
        except OSError as error:
            raise InputError(f"{path}: cannot read the records: {error.strerror}") from error
        return done

    def mend(self, path: Path) -> None:
        """Cut off the torn line, if there is one, so that the next record begins a line of its own."""
        if not self.torn:
            return
        try:
            with path.open("rb+") as file:
                file.truncate(self.whole)
        except OSError as error:
            raise HeadwayError(f"{path}: cannot write: {error.strerror}") from error

    def lacking(self, task: str, samples: int) -> int:
        """How many rollouts of a task are still to be made."""
        return max(samples - self.samples[task], 0)

    def _take(self, line: bytes, place: str) -> None:
        if not line.endswith(b"\n") and _START.startswith(line[: len(_START)]):
            self.torn = len(line)
            return
        try:
            record = msgspec.json.decode(line, type=_Record)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{place}: not a rollout record: {error}") from error
        self.whole += len(line)
        if group := _GROUP.match(record.group):
            self.groups = max(self.groups, int(group[1]))
        if record.failure is None:
            self.samples[record.task] += 1
