"""Where every engine's time went: busy, or idle for exactly one cause, in integer nanoseconds.

Between two events an engine has one cause, the first rule of ``Cause`` that applies. Beside it stand two
figures that are no part of the wall: what idle time would have been called by the next rule, and how far
from full the batch of a busy engine was, by what kept trajectories away from it.
Invariant: the causes of an engine sum to the wall time between its first event and the end, exactly.
Knows nothing of files or reports.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from headway.scheduler.events import Event

from .activity import Activity, EngineActivity
from .cause import Cause
from .found_events import Gap
from .stretches import OnInterval, Stretches

Pair = tuple[Cause, Cause]


@dataclass
class _Account:
    """An engine's time up to ``since``; what came after is in the integrals of the fleet."""

    since: int
    cause: Cause | None = None
    idle: defaultdict[Pair, int] = field(default_factory=lambda: defaultdict(int))
    spent: defaultdict[Cause, int] = field(default_factory=lambda: defaultdict(int))
    under: defaultdict[Cause, int] = field(default_factory=lambda: defaultdict(int))
    running_ns: int = 0
    mark: dict[Pair, int] = field(default_factory=dict)  # the fleet's integrals at ``since``
    under_mark: dict[Cause, int] = field(default_factory=dict)
    turns: int = 0
    most: int = 0


class Attribution:
    """Takes events in order; ``spent`` says where each engine's time has gone so far.

    ``on_interval(engine, cause, start, end)`` is told each engine's time in stretches of one cause, in order
    and without gaps; the last ones by ``close``.
    """

    def __init__(self, engines: Iterable[str], start: int, *, on_interval: OnInterval | None = None) -> None:
        self.activity = Activity(engines)
        self._start = self._now = start
        self._accounts = {engine: _Account(start) for engine in self.activity.engines}
        self._still = self.activity.standstill()
        self._integral: defaultdict[Pair, int] = defaultdict(int)
        self._under: defaultdict[Cause, int] = defaultdict(int)
        self._held: defaultdict[Cause, int] = defaultdict(int)
        self._blind_until: int | None = None
        self._stretches = Stretches(self._accounts, start, on_interval) if on_interval else None

    @property
    def wall_ns(self) -> int:
        """Time taken into account so far."""
        return self._now - self._start

    def take(self, event: Event) -> None:
        """Account for the time up to an event, then let it change the state."""
        self.advance(event.t)
        if isinstance(event, Gap):
            self._lose_sight(event.until)
        else:
            self._update(self.activity.take(event))

    def advance(self, t: int) -> None:
        """Account for the time up to ``t``."""
        if self._blind_until is not None and t >= self._blind_until:
            self._pass(self._blind_until)
            self._blind_until = None
            self.activity.see_again()
            self._update(self.activity.engines.values())
        self._pass(t)

    def spent(self) -> dict[str, dict[Cause, int]]:
        """Nanoseconds by engine and cause; the causes of each engine sum to ``wall_ns``."""
        spent: dict[str, dict[Cause, int]] = {}
        for id, account in self._settled():
            causes = dict(account.spent)
            for (cause, _), ns in account.idle.items():
                causes[cause] = causes.get(cause, 0) + ns
            spent[id] = {cause: causes[cause] for cause in Cause if causes.get(cause)}
        return spent

    def busy_ns(self, engine: str) -> int:
        """How long an engine has been busy."""
        account = self._accounts.get(engine)
        if account is None:
            return 0
        self._settle(account)
        return account.spent[Cause.BUSY] + account.spent[Cause.BUSY_RECOMPUTE]

    def otherwise(self) -> dict[str, dict[Cause, dict[Cause, int]]]:
        """Of the idle time of each engine and cause, nanoseconds by the next rule that applied."""
        result: dict[str, dict[Cause, dict[Cause, int]]] = {}
        for id, account in self._settled():
            by_cause: defaultdict[Cause, dict[Cause, int]] = defaultdict(dict)
            for (cause, otherwise), ns in account.idle.items():
                if ns:
                    by_cause[cause][otherwise] = ns
            result[id] = dict(by_cause)
        return result

    def under_fill(self) -> dict[str, dict[Cause, int]]:
        """Busy nanoseconds of each engine, weighted by the share of the trajectories at hand that were kept
        away from the engines, by what kept them."""
        return {id: {c: ns for c, ns in account.under.items() if ns} for id, account in self._settled()}

    def held(self) -> dict[Cause, int]:
        """Nanoseconds in which a ready turn waited somewhere, by the reason that was given last."""
        return dict(self._held)

    def batches(self) -> dict[str, tuple[int, int]]:
        """The turn-nanoseconds that each engine ran, and the most turns that were on it at once."""
        return {id: (account.running_ns, account.most) for id, account in self._settled()}

    def close(self) -> None:
        """Tell ``on_interval`` of the last stretches."""
        if self._stretches is not None:
            self._stretches.close(self._now)

    def _pass(self, t: int) -> None:
        passed = t - self._now
        if passed <= 0:
            return
        self._now = t
        still = self._still
        self._integral[still.cause, still.otherwise] += passed
        if still.away:
            self._under[still.cause] += passed * still.away // (still.running + still.away)
        if self.activity.waiting:
            self._held[still.cause] += passed

    def _lose_sight(self, until: int) -> None:
        self._blind_until = max(until, self._blind_until or until)
        self.activity.lose_sight()
        self._update(self.activity.engines.values())

    def _update(self, engines: Iterable[EngineActivity]) -> None:
        """Take note of what has become of these engines and of the fleet."""
        before, self._still = self._still, self.activity.standstill()
        for engine in engines:
            account = self._accounts.get(engine.id) or self._join(engine.id)
            cause, turns = engine.cause, len(engine.turns)
            if cause is not account.cause or turns != account.turns:
                self._settle(account)
                account.cause, account.turns = cause, turns
                account.most = max(account.most, turns)
            if self._stretches is not None:
                self._stretches.note(engine.id, cause or self._still.cause, self._now)
        if self._stretches is not None and before.cause is not self._still.cause:
            for id, other in self._accounts.items():
                if other.cause is None:
                    self._stretches.note(id, self._still.cause, self._now)

    def _join(self, id: str) -> _Account:
        """Account for an engine that was not there from the start: it was down."""
        account = self._accounts[id] = _Account(self._start, Cause.DOWN)
        self._settle(account)
        if self._stretches is not None:
            self._stretches.join(id, self._start)
        return account

    def _settled(self) -> Iterable[tuple[str, _Account]]:
        for id, account in self._accounts.items():
            self._settle(account)
            yield id, account

    def _settle(self, account: _Account) -> None:
        """Bring an account up to now."""
        passed = self._now - account.since
        if passed:
            if account.cause is None:
                for pair, ns in self._integral.items():
                    account.idle[pair] += ns - account.mark.get(pair, 0)
            else:
                account.spent[account.cause] += passed
                if account.cause.is_busy:
                    account.running_ns += passed * account.turns
                if account.cause is Cause.BUSY:
                    for cause, ns in self._under.items():
                        account.under[cause] += ns - account.under_mark.get(cause, 0)
        account.since = self._now
        account.mark, account.under_mark = dict(self._integral), dict(self._under)
