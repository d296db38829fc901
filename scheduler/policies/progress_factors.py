"""The arithmetic of Progress-TTL: what an engine's latest turns say about the next ones.

From vllm-router (src/program_scheduling/policy.rs and factors.rs of version 0.1.17's line), with its
reference coefficients, which were measured on hardware of its authors. Pure: windows of the latest 100
turns in, numbers out; until a window is full every estimate is zero.
"""

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import fmean

WINDOW = 100
MAX_TTL_S = 10.0
MAX_ROUNDS = 14
PREFILL = (0.06600061907132926, 0.05702024012166613, 0.0044057347937978475)  # s, s/1K tokens, s/(1K tokens)^2
RETAINED = 0.15  # of decode throughput, while prefill is in the batch
STEP = (0.010635218423115973, 0.0004192803698834784, 1.420458414996201e-7)  # s, s/request, s/context token


@dataclass
class Turn:
    """One ended turn. Sizes in tokens, times in seconds."""

    prompt: int
    completion: int
    growth: int | None  # of the prompt since the trajectory's turn before
    rounds: int  # the trajectory's turns in a row without a pause by TTL
    ended: float


@dataclass
class Load:
    """What is active on one engine. ``protected`` counts those that have turns in a row left to get."""

    capacity: int
    queues: bool = False  # it reports turns waiting beside those that run
    used: float = 0.0  # tokens charged
    active: int = 0
    batch: int = 0  # those of them with a turn
    batch_tokens: int = 0
    protected: int = 0
    rounds: float = 0.0  # that the protected have left, together
    misses: float = 0.0  # seconds that losing them from the cache would cost, together

    @property
    def free(self) -> float:
        """Tokens not charged; may be below zero."""
        return self.capacity - self.used


@dataclass
class Factors:
    """What is known of one engine, as sums over its latest turns."""

    turns: deque[Turn] = field(default_factory=deque)
    tool_times: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    grown: int = 0  # turns whose growth counts
    sums: Counter[str] = field(default_factory=Counter)

    def add(self, turn: Turn) -> None:
        """Take in an ended turn, and forget the oldest of a full window."""
        self.turns.append(turn)
        self._sum(turn, 1)
        if len(self.turns) > WINDOW:
            self._sum(self.turns.popleft(), -1)

    def _sum(self, turn: Turn, sign: int) -> None:
        self.grown += sign * (turn.growth is not None)
        for name, value in (("growth", turn.growth or 0), ("prompt", turn.prompt), ("rounds", turn.rounds)):
            self.sums[name] += sign * value
        self.sums["completion"] += sign * turn.completion

    @property
    def is_mature(self) -> bool:
        """Whether enough turns were seen to estimate from them."""
        return len(self.turns) == WINDOW

    @property
    def growth(self) -> float:
        """Mean tokens that a context grows by from turn to turn."""
        return self.sums["growth"] / self.grown if self.grown else 0.0

    @property
    def completion(self) -> float:
        """Mean tokens of a completion."""
        return self.sums["completion"] / max(len(self.turns), 1)

    @property
    def prompt(self) -> float:
        """Mean tokens of a prompt; at least 1."""
        return max(self.sums["prompt"] / max(len(self.turns), 1), 1.0)

    @property
    def turns_per_second(self) -> float:
        """Turns that ended, over the window."""
        elapsed = self.turns[-1].ended - self.turns[0].ended if self.turns else 0.0
        return (len(self.turns) - 1) / elapsed if elapsed > 0 else 0.0

    @property
    def target_rounds(self) -> float:
        """Turns in a row that a trajectory should get before it is paused."""
        if not self.is_mature:
            return 0.0
        return float(min(max(math.ceil(2 * self.sums["rounds"] / WINDOW), 1), MAX_ROUNDS))

    def admits(self, load: Load, *, needed: float, context: int, miss: float) -> bool:
        """Whether a candidate, which needs these tokens at once, fits with the growth of all; or pays anyway.

        ``miss`` is what it costs to prefill it, in seconds.
        """
        if needed > load.free:
            return False
        reserve = self.growth * (self.target_rounds + load.rounds) if self.is_mature else 0.0
        return needed + reserve <= load.free or self._gains(load, needed, context, miss)

    def _gains(self, load: Load, needed: float, context: int, miss: float) -> bool:
        """Whether the larger batch is worth more seconds than the candidate costs."""
        if not self.is_mature or not load.batch:
            return False
        before = _throughput(load.batch, load.batch_tokens)
        more = max(_throughput(load.batch + 1, load.batch_tokens + context) / before - 1, 0.0)
        seconds = load.batch * self.completion / before  # that a turn decodes for
        return seconds * more >= miss + self._continuity_loss(load, needed)

    def _continuity_loss(self, load: Load, needed: float) -> float:
        if self.growth <= 0:
            return 0.0
        before = min(load.rounds, load.free / self.growth)
        after = min(
            load.rounds, max(load.free - needed - self.growth * self.target_rounds, 0.0) / self.growth
        )
        if before > 0 and after <= 0:
            return math.inf
        return (before - after) / after * load.misses / load.protected if after > 0 else 0.0

    def ttl(self, miss: float) -> float:
        """Seconds to hold a trajectory in a tool whose loss from the cache would cost ``miss`` seconds.

        The best d of  P(T < d) * miss - E[T; T < d] - d * P(T >= d)  for a log-normal fit of tool times T.
        """
        times = [time for time in self.tool_times if time > 0]
        longest = min(MAX_TTL_S, miss)
        if len(self.tool_times) < WINDOW or not times or longest <= 0:
            return 0.0
        logs = [math.log(time) for time in times]
        mean = fmean(logs)
        sigma = max(math.sqrt(fmean((value - mean) ** 2 for value in logs)), 1e-6)
        return max((_utility(d, miss, mean, sigma), d) for d in _candidates(longest))[1]


def miss_seconds(tokens: int) -> float:
    """What it costs to prefill tokens that are not cached, the decode that it slows down included."""
    x = tokens / 1000
    fixed, linear, quadratic = PREFILL
    return (fixed + linear * x + quadratic * x * x) * (2 - RETAINED) if tokens > 0 else 0.0


def _throughput(batch: int, tokens: int) -> float:
    fixed, by_request, by_token = STEP
    return batch / (fixed + by_request * batch + by_token * tokens)


def _candidates(longest: float) -> list[float]:
    shortest = min(0.05, longest)
    steps = [shortest * (longest / shortest) ** (index / 31) for index in range(32)]
    return [0.0, *steps]


def _utility(d: float, miss: float, mean: float, sigma: float) -> float:
    if d <= 0:
        return 0.0
    back = _normal((math.log(d) - mean) / sigma)
    until = math.exp(mean + sigma * sigma / 2) * _normal((math.log(d) - mean - sigma * sigma) / sigma)
    return miss * back - until - d * (1 - back)


def _normal(z: float) -> float:
    return (1 + math.erf(z / math.sqrt(2))) / 2
