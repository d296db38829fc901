"""Splits all engines' time by a label that changes now and then, such as the phase of the job."""

from collections import defaultdict

from .attribution import Attribution
from .cause import Cause


class Labels:
    """Looks at an attribution whenever the label changes."""

    def __init__(self, attribution: Attribution, label: str) -> None:
        self._attribution = attribution
        self._label = label
        self._before: dict[Cause, int] = {}
        self._spent: dict[str, dict[Cause, int]] = {}

    def change(self, label: str) -> None:
        """From the time taken into account so far on, the label is another."""
        now = self._total()
        spent = self._spent.setdefault(self._label, {})
        for cause, ns in now.items():
            if more := ns - self._before.get(cause, 0):
                spent[cause] = spent.get(cause, 0) + more
        self._before, self._label = now, label

    def spent(self) -> dict[str, dict[Cause, int]]:
        """Nanoseconds of all engines by label and cause."""
        self.change(self._label)
        return {label: causes for label, causes in self._spent.items() if causes}

    def _total(self) -> dict[Cause, int]:
        total: defaultdict[Cause, int] = defaultdict(int)
        for causes in self._attribution.spent().values():
            for cause, ns in causes.items():
                total[cause] += ns
        return total
