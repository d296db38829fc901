"""What one step of an engine did and how long it took: the raw material of a hardware profile.

Invariant: a record's counts are those of ``StepTime``'s terms, so that a fit needs nothing else. Knows
nothing of vLLM, nor of what the records are used for.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from headway.errors import InputError

SUFFIX = ".steps.jsonl"


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One step that ended at ``t`` seconds of the machine's monotonic clock.

    ``seconds`` runs from the end of the step before where turns were left then, otherwise from the step's own
    scheduling: it holds everything that the engine did in between. ``cpu_seconds`` is what the engine's
    process (all its threads) computed meanwhile. ``prefill`` and ``decode`` are tokens computed for prompts
    (recomputed ones too) and sequences that decoded; ``kv_read`` the context tokens that these read;
    ``attention`` the sum over prefilled chunks of their tokens times their mean context. ``running`` and
    ``waiting`` are turns, after the step; ``preemptions`` those of the step.
    """

    t: float
    seconds: float
    cpu_seconds: float
    prefill: int
    decode: int
    kv_read: int
    attention: float
    running: int
    waiting: int
    preemptions: int


class StepWork(msgspec.Struct):
    """Adds up what one step computes."""

    prefill: int = 0
    decode: int = 0
    kv_read: int = 0
    attention: float = 0.0

    def add(self, tokens: int, *, context: int, decodes: bool) -> None:
        """Add ``tokens`` of one sequence that had ``context`` tokens in its cache before."""
        if decodes:
            self.decode += 1
            self.kv_read += context
        else:
            self.prefill += tokens
            self.attention += tokens * (context + tokens / 2)


def record_file(folder: Path, engine_id: str) -> Path:
    """Where the engine's steps go."""
    return folder / f"{engine_id}{SUFFIX}"


def record_files(folder: Path) -> list[Path]:
    """The records of all engines in ``folder``; raises ``InputError`` where there are none."""
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise InputError(
            f"{folder} has no *{SUFFIX}; give the folder that engines were started with as step_record"
        )
    return files


def read_steps(file: Path) -> Iterator[StepRecord]:
    """The steps of one engine, in order; a torn last line is left out."""
    decoder = msgspec.json.Decoder(StepRecord)
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise InputError(f"{file}:{number}: not a step: {error}") from error
