"""How much trajectories will grow, and for how long: learned online from turns and trajectories that end.

By turn index: the mean and variance of the tokens that a turn adds (the observation before it included), and
the share of trajectories that end with it. An index that was seen rarely leans on all turns together, and
those on a prior: half of the turn's limit a turn, with half of that as its deviation; and a trajectory uses
half of the context that it may. By group: how its turns compare to others of their index, and the share of
its growth that it generates. Each prior is worth ``PRIOR_WEIGHT`` observations. Pure arithmetic.
"""

from collections import OrderedDict, defaultdict
from dataclasses import dataclass

from .trajectory import Trajectory

PRIOR_WEIGHT = 4.0
REFRESH = 64  # turns that are learned between two sums of what remains
GROUPS = 8192  # that are remembered, the latest


@dataclass(slots=True)
class _Moments:
    count: float = 0.0
    mean: float = 0.0
    squares: float = 0.0  # sum of squared deviations (Welford)

    def add(self, value: float) -> None:
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)

    def blend(self, mean: float, variance: float) -> tuple[float, float]:
        """Mean and variance with a prior of ``PRIOR_WEIGHT`` observations mixed in."""
        total = self.count + PRIOR_WEIGHT
        blended = (self.count * self.mean + PRIOR_WEIGHT * mean) / total
        between = self.count * (self.mean - blended) ** 2 + PRIOR_WEIGHT * (mean - blended) ** 2
        return blended, (self.squares + PRIOR_WEIGHT * variance + between) / total


@dataclass(slots=True)
class _Running:
    count: int = 0
    starts: float = 0.0  # sum of the times at which they started


@dataclass(slots=True)
class _Group:
    turns: int = 0
    grew: float = 0.0
    usual: float = 0.0  # what turns of those indices grew by elsewhere
    generated: float = 0.0


class GrowthForecast:
    """Learns from turns and trajectories that ended; ``max_context`` is the most tokens of a trajectory."""

    def __init__(self, max_context: int = 1 << 15) -> None:
        self._half_context = max_context / 2
        self._all = _Moments()
        self._generated = 0.0
        self._by_turn: defaultdict[int, _Moments] = defaultdict(_Moments)
        self._running: defaultdict[int, _Running] = defaultdict(_Running)
        self._ended: defaultdict[int, int] = defaultdict(int)  # trajectories, by their last turn
        self._groups: OrderedDict[str, _Group] = OrderedDict()
        self._rate = 0.0  # tokens a second that a running turn writes, of late
        self._remaining: list[float] = []
        self._refreshed_at = 0.0

    def started(self, turn: int, now: float) -> None:
        """Take in that a turn of this number runs from now on."""
        running = self._running[turn]
        running.count += 1
        running.starts += now

    def stopped(self, turn: int, start: float) -> None:
        """Take in that a turn of this number, which ran since ``start``, does so no more."""
        running = self._running[turn]
        running.count -= 1
        running.starts = running.starts - start if running.count else 0.0

    def learn(
        self, turn: int, tokens: int, *, group: str = "", generated: int = 0, seconds: float = 0.0
    ) -> None:
        """Take in that turn number ``turn`` added ``tokens``, and wrote ``generated`` of them in
        ``seconds``."""
        self._learn_group(group, turn, tokens, generated)
        self._all.add(tokens)
        self._by_turn[turn].add(tokens)
        self._generated += generated
        if seconds > 0:
            self._rate += (generated / seconds - self._rate) / min(self._all.count, 64)

    def learn_end(self, turns: int) -> None:
        """Take in that a trajectory ended after so many turns."""
        if turns:
            self._ended[turns - 1] += 1

    def growth(self, turn: int, limit: int, now: float = 0.0) -> tuple[float, float]:
        """Mean and variance of the tokens that turn ``turn`` will add, where it may generate ``limit``.

        Turns that end early in a run are the short ones. With what the running ones have written so far
        added to the sum, but not to the count, the mean of exponential lengths is unbiased (the estimate of
        maximum likelihood under censoring), and that of others errs on the large side.
        """
        overall = self._all.blend(limit / 2, (limit / 4) ** 2)
        moments = self._by_turn.get(turn)
        if moments is None:
            return overall
        mean, variance = moments.blend(*overall)
        running = self._running.get(turn)
        if running is not None and running.count:
            written = max(running.count * now - running.starts, 0.0) * self._rate
            mean = min(mean + written / (moments.count + PRIOR_WEIGHT), max(mean, limit))
        return mean, variance

    @property
    def generated(self) -> float:
        """Tokens that a turn writes, on average."""
        return self._generated / max(self._all.count, 1)

    def remaining(self, trajectory: Trajectory, now: float = 0.0) -> float:
        """Tokens that a trajectory will probably still generate, from its next turn to its end."""
        turn = trajectory.turn
        if self._all.count - self._refreshed_at >= REFRESH or turn >= len(self._remaining):
            self._refresh(turn, trajectory.turn_limit, now)
        group = self._groups.get(trajectory.group, _Group())
        prior = PRIOR_WEIGHT * max(group.grew / max(group.turns, 1), 1.0)
        share = self._generated / (self._all.count * self._all.mean) if self._generated else 1.0
        stretch = (group.grew + prior) / (group.usual + prior)
        return self._remaining[turn] * stretch * (group.generated + prior * share) / (group.grew + prior)

    def _learn_group(self, name: str, turn: int, tokens: int, generated: int) -> None:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group()
            if len(self._groups) > GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(name)
        group.turns += 1
        group.grew += tokens
        group.usual += self._by_turn[turn].blend(self._all.mean or tokens, 0)[0]
        group.generated += generated

    def _refresh(self, turn: int, limit: int, now: float) -> None:
        """Sum up, from the last turn that was seen backwards, the growth that remains at each."""
        self._refreshed_at = self._all.count
        overall, _ = self._all.blend(limit / 2, (limit / 4) ** 2)
        prior = min(overall / self._half_context, 1.0)
        self._remaining = [0.0] * (max([turn, *self._by_turn]) + 1)
        rest = overall / max(prior, 1e-6)
        for k in reversed(range(len(self._remaining))):
            rest = self.growth(k, limit, now)[0] + (1 - self._hazard(k, prior)) * rest
            self._remaining[k] = rest

    def _hazard(self, turn: int, prior: float) -> float:
        """The share of trajectories that end with a turn, among those that come to its end."""
        moments = self._by_turn.get(turn)
        reached = 0.0 if moments is None else moments.count
        return min((self._ended.get(turn, 0) + PRIOR_WEIGHT * prior) / (reached + PRIOR_WEIGHT), 1.0)
