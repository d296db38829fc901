"""The rollouts that a run recorded, by group, read from its file only as they are asked for.

Invariants: groups are those that were wanted; a line that is no record is an ``InputError`` that names it;
nothing but names and places is held in memory. Knows nothing of checkpoints.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from headway.errors import InputError
from headway.scheduler import Rollout
from headway.scheduler.rollout import Failure
from headway.trainer.rollout_file import decode_rollout

_AGAIN = ("cancelled", "engine")  # failures that were not the trajectory's own


class _Named(msgspec.Struct):
    id: str
    group: str
    failure: Failure | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a record is, and whether its trajectory failed."""

    start: int
    length: int
    failed: bool


class RecordedGroups(Mapping[str, Sequence[Rollout]]):
    """What is in ``path`` from byte ``start`` on of the groups that are ``wanted``, and ``unfinished`` ones.

    Rollouts that failed by an engine or by the end of the run are left out. ``places`` are those of all
    records, wanted or not.
    """

    def __init__(
        self,
        path: Path,
        *,
        start: int = 0,
        wanted: Callable[[str], bool] = lambda group: True,
        unfinished: Sequence[Rollout] = (),
    ) -> None:
        self.path = path
        self.places: list[Place] = []
        self._wanted: defaultdict[str, dict[str, Place]] = defaultdict(dict)
        self._unfinished: defaultdict[str, dict[str, Rollout]] = defaultdict(dict)
        for rollout in unfinished:
            self._unfinished[rollout.group][rollout.id] = rollout
        for record, place in self._scan(start):
            self.places.append(place)
            if wanted(record.group) and (record.failure is None or record.failure.boundary not in _AGAIN):
                self._wanted[record.group][record.id] = place
                self._unfinished[record.group].pop(record.id, None)
        self._names = dict.fromkeys([*self._wanted, *self._unfinished])

    def __getitem__(self, group: str) -> Sequence[Rollout]:
        if group not in self._names:
            raise KeyError(group)
        found = list(self._unfinished[group].values())
        if places := self._wanted[group].values():
            with self.path.open("rb") as file:
                for place in places:
                    file.seek(place.start)
                    found.append(self._decode(file.read(place.length), place))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def finished(self) -> int:
        """The rollouts that are not run again."""
        return sum(map(len, self._wanted.values()))

    def _decode(self, line: bytes, place: Place) -> Rollout:
        try:
            return decode_rollout(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path}: at byte {place.start}: not a rollout record: {error}") from error

    def _scan(self, start: int) -> Iterator[tuple[_Named, Place]]:
        if not self.path.exists():
            return
        decoder = msgspec.json.Decoder(_Named)
        with self.path.open("rb") as file:
            file.seek(start)
            for line in file:
                try:
                    record = decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise InputError(
                        f"{self.path}: at byte {start}: not a rollout record: {error}"
                    ) from error
                yield record, Place(start, len(line), record.failure is not None)
                start += len(line)
