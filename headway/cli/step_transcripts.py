"""Writes a few rollouts of each training step to be read, as text and as a page.

Invariant: which ones depends on the step and its rollouts alone. Knows nothing of how they were made.
"""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from headway.errors import HeadwayError
from headway.scheduler import Rollout
from headway.trainer.batch import Sample
from headway.trainer.transcript import Decode, choose, transcribe
from headway.trainer.transcript_page import transcripts_page
from headway.trainer.transcript_text import transcripts_text

from .output_file import write_whole


class StepTranscripts:
    """Writes ``count`` of a step's rollouts to ``folder``; nothing where it is 0."""

    def __init__(self, folder: Path, decode: Decode, count: int) -> None:
        self._folder, self._decode, self._count = folder, decode, count

    def write(self, step: int, rollouts: Sequence[Rollout], samples: Iterable[Sample]) -> None:
        """Write the step's files; ``samples`` are those of its rollouts that it trains on."""
        if not self._count:
            return
        advantages = {sample.rollout.id: sample.advantage for sample in samples}
        if not rollouts:
            return
        shown = [
            transcribe(rollout, self._decode, advantage=advantages.get(rollout.id))
            for rollout in self._choose(rollouts, advantages, step)
        ]
        title = f"step {step}: {len(shown)} of {len(rollouts)} rollouts"
        name = f"step-{step:05}"
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise HeadwayError(f"{self._folder}: cannot make the folder: {error.strerror}") from error
        write_whole(self._folder / f"{name}.txt", transcripts_text(title, shown).encode("utf-8", "replace"))
        write_whole(self._folder / f"{name}.html", transcripts_page(title, shown).encode("utf-8", "replace"))

    def _choose(self, rollouts: Sequence[Rollout], advantages: dict[str, float], step: int) -> list[Rollout]:
        """Those trained on before those that were not."""
        rng = random.Random(step)
        kept = choose([rollout for rollout in rollouts if rollout.id in advantages], self._count, rng)
        left = [rollout for rollout in rollouts if rollout.id not in advantages]
        return kept + choose(left, self._count - len(kept), rng)
