"""Where one engine's time went, as far as readings of its metrics can tell.

Invariants: the states sum to the time since the start exactly, in integer nanoseconds; time without a reading
at either end is ``UNSEEN``. Knows nothing of HTTP, and of other engines only whether requests wait there.
"""

from collections import defaultdict

from .exposition import Reading
from .state import State, progressed, state_of


class EngineAccount:
    """Takes readings in order; time is in nanoseconds and never goes back.

    ``apart_ns`` is the longest that two readings were apart. ``unnoticed_ns`` is time at both ends of which
    nothing ran, and in which tokens were generated all the same: then readings are too far apart.
    """

    def __init__(self, start: int, *, longest_ns: int) -> None:
        self.last: Reading | None = None  # None where the latest attempt failed
        self.model = ""
        self.apart_ns = 0
        self.unnoticed_ns = 0
        self.most_running = 0
        self.most_kv_usage = 0.0
        self._spent: defaultdict[State, int] = defaultdict(int)
        self._running_ns = 0
        self._turns_ns = 0  # the same, times the number of requests
        self._now = start
        self._longest_ns = longest_ns

    def take(self, reading: Reading, now: int, *, others_wait: bool) -> None:
        """Take a reading; readings more than ``longest_ns`` apart do not tell what was between them."""
        before, passed = self.last, now - self._now
        state = state_of(before, reading, others_wait=others_wait)
        if passed > self._longest_ns:
            state = State.UNSEEN
        self._spend(state, now)
        if before is not None and state is not State.UNSEEN:
            self.apart_ns = max(self.apart_ns, passed)
            self._turns_ns += passed * reading.running
            self._running_ns += passed if reading.running else 0
            if not before.running and not reading.running and progressed(before, reading):
                self.unnoticed_ns += passed
        self.last, self.model = reading, reading.model
        self.most_running = max(self.most_running, reading.running)
        self.most_kv_usage = max(self.most_kv_usage, reading.kv_usage)

    def miss(self, now: int) -> None:
        """It could not be read now, so that what it has done since the last reading is not known."""
        self._spend(State.UNSEEN, now)
        self.last = None

    @property
    def mean_running(self) -> float:
        """Requests that ran, on average over the time in which any did."""
        return self._turns_ns / self._running_ns if self._running_ns else 0.0

    def states(self, now: int) -> dict[str, int]:
        """Nanoseconds up to ``now`` by state; what came after the last reading is not known."""
        spent = {**self._spent, State.UNSEEN: self._spent[State.UNSEEN] + now - self._now}
        return {str(state): spent[state] for state in State if spent.get(state)}

    def _spend(self, state: State, now: int) -> None:
        self._spent[state] += now - self._now
        self._now = now
