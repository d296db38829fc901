"""How long tools take in traces that do not say: a model that the user states in words.

    constant:1.5                    always so many seconds
    lognormal:median=2,sigma=1      of this median; sigma is the deviation of its logarithm
    exponential:mean=3
    python=constant:0.3             of one tool; the others have the model that names none

The same seed gives the same times. Knows nothing of traces.
"""

import math
import random
from collections.abc import Callable, Sequence

import msgspec

from headway.errors import InputError


class Constant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Always the same."""

    seconds: float

    def draw(self, rng: random.Random) -> float:
        """Seconds of one call."""
        return self.seconds


class Lognormal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Most calls are near the median, and some take many times it."""

    median: float
    sigma: float

    def draw(self, rng: random.Random) -> float:
        """Seconds of one call."""
        return self.median * math.exp(rng.gauss(0.0, self.sigma))


class Exponential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calls that end at any moment alike."""

    mean: float

    def draw(self, rng: random.Random) -> float:
        """Seconds of one call."""
        return rng.expovariate(1.0 / self.mean) if self.mean else 0.0


Model = Constant | Lognormal | Exponential
_MODELS: dict[str, type[Model]] = {
    "constant": Constant,
    "lognormal": Lognormal,
    "exponential": Exponential,
}
_EXAMPLES = "constant:1.5, lognormal:median=2,sigma=1, exponential:mean=3 or python=constant:0.3"


class Latency:
    """Draws how long calls of tools take; raises ``InputError`` for a spec that is none."""

    def __init__(self, specs: Sequence[str], *, seed: int) -> None:
        self._models = dict(_parse(spec) for spec in specs)
        self._rng = random.Random(f"latency {seed}")
        self.said = ", ".join(specs)

    def draw(self, tool: str) -> float:
        """Seconds of one call of a tool."""
        model = self._models.get(tool) or self._models.get("")
        if model is None:
            raise InputError(
                f"no latency is stated for the tool {tool!r}; add one for it, such as {tool}=constant:1, or "
                "one for all others, such as constant:1"
            )
        return model.draw(self._rng)


def _parse(spec: str) -> tuple[str, Model]:
    """The tool, empty for all, and its model."""
    head, colon, text = spec.partition(":")
    tool, _, name = head.rpartition("=")
    if not colon or name not in _MODELS:
        raise InputError(f"latency {spec!r}: no model of how long a tool takes; write {_EXAMPLES}")
    try:
        figures = _figures(_MODELS[name], text)
        model = msgspec.convert(figures, _MODELS[name], strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise InputError(f"latency {spec!r}: {error}; write {_EXAMPLES}") from error
    if not all(math.isfinite(value) and value >= 0 for value in msgspec.structs.astuple(model)):
        raise InputError(f"latency {spec!r}: its figures must be finite and not negative")
    return tool.strip(), model


def _figures(kind: Callable[..., Model], text: str) -> dict[str, str]:
    if kind is Constant and "=" not in text:
        return {"seconds": text}
    pairs = [part.partition("=") for part in text.split(",")]
    return {key.strip(): value for key, _, value in pairs}
