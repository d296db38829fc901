"""Says in lines what of the GPU counters is not there, and that the profile goes on.

Knows nothing of drivers.
"""

from collections.abc import Iterable

from .sample import GpuFacts


def line(what: str, goes_on_without: str = "it") -> str:
    """One such line."""
    return f"GPU counters: {what}; the profile goes on without {goes_on_without}"


def describe(gpus: Iterable[GpuFacts]) -> list[str]:
    """A line for each note; what several GPUs have in common is said once."""
    by_note: dict[tuple[str, str], list[GpuFacts]] = {}
    for facts in gpus:
        for note in facts.notes:
            by_note.setdefault((note, facts.name), []).append(facts)
    return [line(f"{_names(who)}: {note}") for (note, _), who in by_note.items()]


def _names(gpus: list[GpuFacts]) -> str:
    first = gpus[0]
    if len(gpus) == 1:
        return f"GPU {first.index} ({first.name})"
    return f"GPUs {', '.join(str(facts.index) for facts in gpus)} ({first.name})"
