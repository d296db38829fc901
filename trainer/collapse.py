"""Notices that training collapses, from the figures of steps and evaluations.

Pure: the same figures give the same alarms. Invariant: an alarm is given once, as its condition begins to
hold, and again only after it has ceased to hold. Knows nothing of what is done about it.
"""

import math
from collections import deque
from collections.abc import Callable
from statistics import fmean, median
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Signal = Literal["held_out", "reward", "entropy", "response_tokens", "grad_norm"]


class CollapseConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to speak of a collapse; ``stop`` ends the run at the first alarm, else it is only told.

    ``drop``: held-out pass@1, over ``evaluations`` evaluations in a row, and the reward, over ``window``
    steps, are this share below their best (and 0.05 at least). ``entropy_floor``: the mean entropy of the
    window is below this share of that of the first window. ``length_factor``, ``grad_norm_factor``: the
    window's median response length and gradient norm are above so many times those of the ``history`` steps
    before it.
    """

    stop: bool = False
    evaluations: Annotated[int, Meta(ge=1)] = 3
    window: Annotated[int, Meta(ge=1)] = 10
    history: Annotated[int, Meta(ge=1)] = 50
    drop: Annotated[float, Meta(gt=0, le=1)] = 0.25
    entropy_floor: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    length_factor: Annotated[float, Meta(gt=1)] = 2.0
    grad_norm_factor: Annotated[float, Meta(gt=1)] = 10.0


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of collapse: ``value`` is what was seen, ``reference`` what it was held against."""

    step: int
    signal: Signal
    value: float
    reference: float
    reason: str


class StepFigures(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What the detector looks at in a step; without an update there is no entropy and no gradient norm."""

    step: int
    reward: float
    response_tokens: float
    entropy: float | None = None
    grad_norm: float | None = None


_LEAST_DROP = 0.05  # of pass@1: less is noise, however small the best was


class CollapseDetector:
    """Takes in figures in order, and returns the alarms that begin with them."""

    def __init__(self, config: CollapseConfig | None = None) -> None:
        self._config = config = config or CollapseConfig()
        self._rules: dict[Signal, Callable[[float, int], Alarm | None]] = {
            "held_out": _Drop(
                "held_out", "held-out pass@1", "evaluations", config.evaluations, config, all_of=True
            ),
            "reward": _Drop("reward", "the mean reward", "steps", config.window, config, all_of=False),
            "entropy": _Floor(config),
            "response_tokens": _Jump("response_tokens", "the response length", config.length_factor, config),
            "grad_norm": _Jump("grad_norm", "the gradient norm", config.grad_norm_factor, config),
        }
        self._on: set[Signal] = set()

    def note_step(self, figures: StepFigures) -> list[Alarm]:
        """Take in a step."""
        seen: dict[Signal, float | None] = {
            "reward": figures.reward,
            "entropy": figures.entropy,
            "response_tokens": figures.response_tokens,
            "grad_norm": figures.grad_norm,
        }
        return [
            alarm
            for signal, value in seen.items()
            if value is not None and (alarm := self._note(signal, value, figures.step))
        ]

    def note_evaluation(self, step: int, pass_at_1: float) -> list[Alarm]:
        """Take in an evaluation on held-out tasks."""
        alarm = self._note("held_out", pass_at_1, step)
        return [alarm] if alarm else []

    def _note(self, signal: Signal, value: float, step: int) -> Alarm | None:
        alarm = self._rules[signal](value, step)
        begins = alarm is not None and signal not in self._on
        if alarm is None:
            self._on.discard(signal)
        else:
            self._on.add(signal)
        return alarm if begins else None


class _Drop:
    """Far below the best: each of the last values (``all_of``), or their mean below the best such mean."""

    def __init__(
        self, signal: Signal, name: str, unit: str, count: int, config: CollapseConfig, *, all_of: bool
    ) -> None:
        self._signal: Signal = signal
        self._name, self._unit, self._config, self._all_of = name, unit, config, all_of
        self._recent: deque[float] = deque(maxlen=count)
        self._best, self._best_step = -math.inf, 0

    def __call__(self, value: float, step: int) -> Alarm | None:
        self._recent.append(value)
        full = len(self._recent) == self._recent.maxlen
        level = value if self._all_of else fmean(self._recent)
        if level > self._best and (full or self._all_of):
            self._best, self._best_step = level, step
        limit = self._best - max(self._best * self._config.drop, _LEAST_DROP)
        low = max(self._recent) < limit if self._all_of else level < limit
        if not full or not low:
            return None
        mean = fmean(self._recent)
        return Alarm(
            step=step,
            signal=self._signal,
            value=mean,
            reference=self._best,
            reason=(
                f"{self._name} was {mean:.3f} over the last {len(self._recent)} {self._unit}, "
                f"{1 - mean / self._best:.0%} below its best, {self._best:.3f} at step {self._best_step}"
            ),
        )


class _Floor:
    """The entropy's mean over a window, far below that of the first window."""

    def __init__(self, config: CollapseConfig) -> None:
        self._floor = config.entropy_floor
        self._recent: deque[float] = deque(maxlen=config.window)
        self._first: float | None = None

    def __call__(self, value: float, step: int) -> Alarm | None:
        self._recent.append(value)
        if len(self._recent) < (self._recent.maxlen or 1):
            return None
        mean = fmean(self._recent)
        if self._first is None:
            self._first = mean
        if mean >= self._first * self._floor:
            return None
        return Alarm(
            step=step,
            signal="entropy",
            value=mean,
            reference=self._first,
            reason=(
                f"the entropy was {mean:.4f} over the last {len(self._recent)} steps, less than "
                f"{self._floor:.0%} of the {self._first:.4f} that it began with"
            ),
        )


class _Jump:
    """The median of a window, far above that of the steps before it; what is not finite counts as large."""

    def __init__(self, signal: Signal, name: str, factor: float, config: CollapseConfig) -> None:
        self._signal: Signal = signal
        self._name, self._factor, self._window = name, factor, config.window
        self._values: deque[float] = deque(maxlen=config.window + config.history)

    def __call__(self, value: float, step: int) -> Alarm | None:
        self._values.append(value if math.isfinite(value) else math.inf)
        if len(self._values) < 2 * self._window:
            return None
        values = list(self._values)
        now, before = median(values[-self._window :]), median(values[: -self._window])
        if not now > before * self._factor:
            return None
        return Alarm(
            step=step,
            signal=self._signal,
            value=now,
            reference=before,
            reason=(
                f"{self._name} was {now:.4g} over the last {self._window} steps, more than "
                f"{self._factor:g} times the {before:.4g} of the {len(values) - self._window} steps before"
            ),
        )
