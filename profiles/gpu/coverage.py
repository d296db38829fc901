"""How finely, and how completely, samples tell what a GPU did.

Pure: a tally takes samples in order and holds no more of them than it needs. Knows nothing of drivers.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from .sample import GpuSample

_ROUND_NS = 1_000_000


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """Of one GPU's activity: ``resolution_s`` is the median distance of samples, to a millisecond; ``share``
    the part of the wall that their spans cover."""

    gpu: str
    samples: int
    resolution_s: float | None
    share: float


class Tally:
    """Takes one GPU's samples; its wall begins at ``start``, in ns of the samples' clock."""

    def __init__(self, gpu: str, start: int) -> None:
        self._gpu = gpu
        self._start = self._seen = start
        self._last: int | None = None
        self._covered = 0
        self._samples = 0
        self._distances: Counter[int] = Counter()

    def take(self, sample: GpuSample) -> None:
        """Take the next sample; one that does not tell the activity does not count."""
        if sample.sm is None:
            return
        self._samples += 1
        self._covered += max(sample.t - max(sample.t - sample.span_ns, self._seen), 0)
        self._seen = max(self._seen, sample.t)
        if self._last is not None:
            self._distances[round((sample.t - self._last) / _ROUND_NS)] += 1
        self._last = sample.t

    def coverage(self, end: int) -> Coverage:
        """What the samples so far tell of the wall up to ``end``."""
        wall = end - self._start
        return Coverage(
            gpu=self._gpu,
            samples=self._samples,
            resolution_s=self._median(),
            share=round(min(self._covered / wall, 1.0), 4) if wall > 0 else 0.0,
        )

    def _median(self) -> float | None:
        """The lower median: of an even number, the smaller of the two in the middle."""
        middle = (self._distances.total() + 1) // 2
        for distance, count in sorted(self._distances.items()):
            middle -= count
            if middle <= 0:
                return distance * _ROUND_NS / 1e9
        return None


def coverage(samples: Iterable[GpuSample], *, start: int, end: int) -> list[Coverage]:
    """The coverage of each GPU that has samples."""
    tallies: dict[str, Tally] = {}
    for sample in samples:
        tallies.setdefault(sample.gpu, Tally(sample.gpu, start)).take(sample)
    return [tally.coverage(end) for tally in tallies.values()]
