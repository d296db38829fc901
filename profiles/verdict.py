"""Where engines' time went, in one sentence."""

from collections import Counter
from collections.abc import Iterable, Mapping

from .cause import Cause
from .wording import share

_NOT_IDLE = (Cause.BUSY, Cause.BUSY_RECOMPUTE, Cause.UNATTRIBUTED)


def idle_sentence(spent: Iterable[Mapping[str, int] | Mapping[Cause, int]]) -> str:
    """The idle share of all time and its largest cause; ``spent`` has each engine's ns by cause."""
    total: Counter[str] = Counter()
    for causes in spent:
        total.update({str(cause): ns for cause, ns in causes.items()})
    if not total.total():
        return "nothing was recorded"
    idle = Counter({cause: ns for cause, ns in total.items() if cause not in _NOT_IDLE})
    sentence = f"{share(idle.total(), total.total())} of {total.total() / 1e9:,.0f} engine-seconds idle"
    if idle.total():
        ((cause, ns),) = idle.most_common(1)
        sentence += f", {share(ns, idle.total())} of that {cause.replace('_', ' ')}"
    return sentence
