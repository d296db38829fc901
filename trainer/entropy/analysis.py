"""Which kinds of places the tokens of highest entropy stand in (rStar2-Agent, arXiv 2508.20722, section 5).

The paper finds two: forking tokens, where the model explores and reflects, and reflection tokens right after
tool responses. Pure arithmetic over what was measured.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from .forward import Measured
from .places import Piece, Place, places

_FREQUENT = 8


class Frequent(msgspec.Struct, frozen=True):
    """A token that is often among the high ones of its place."""

    text: str
    count: int
    entropy: float


class PlaceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of place. ``share`` is of all tokens, ``top_share`` of the high ones, ``lift`` their ratio."""

    place: Place
    tokens: int
    entropy: float
    share: float
    top_tokens: int
    top_share: float
    lift: float
    frequent: list[Frequent]


class EntropyReport(msgspec.Struct, frozen=True, kw_only=True):
    """``tokens`` written ones of ``rollouts`` rollouts; entropies in nats.

    ``threshold``: the least entropy among the ``top`` share of them. ``logprob_mean_abs_diff``: how far this
    model's log-probabilities are from those that were recorded; near 0 where it is the one that wrote them.
    """

    rollouts: int
    tokens: int
    complete: bool
    top: float
    first: int
    entropy: float
    threshold: float
    logprob_mean_abs_diff: float
    places: list[PlaceFigures]


def analyse(
    measured: Sequence[Measured], piece: Piece, *, top: float = 0.2, first: int = 8, complete: bool = True
) -> EntropyReport:
    """Analyse at least one written token; of equal entropies the earlier one counts as higher."""
    entropy = np.asarray([value for one in measured for value in one.entropy])
    where = np.asarray([place for one in measured for place in places(one.rollout, piece, first=first)])
    tokens = [token for one in measured for token in _written(one)]
    drawn = np.asarray([value for one in measured for value in one.logprob])
    recorded = np.asarray([value for one in measured for value in _recorded(one)])
    high = np.zeros(len(entropy), dtype=bool)
    high[np.argsort(-entropy, kind="stable")[: max(1, round(top * len(entropy)))]] = True
    return EntropyReport(
        rollouts=len(measured),
        tokens=len(entropy),
        complete=complete,
        top=top,
        first=first,
        entropy=float(entropy.mean()),
        threshold=float(entropy[high].min()),
        logprob_mean_abs_diff=float(np.abs(drawn - recorded).mean()),
        places=[
            _figures(place, where == place, high, entropy, tokens, piece)
            for place in Place
            if (where == place).any()
        ],
    )


def _figures(
    place: Place,
    here: np.ndarray,
    high: np.ndarray,
    entropy: np.ndarray,
    tokens: Sequence[int],
    piece: Piece,
) -> PlaceFigures:
    both = here & high
    share, top_share = float(here.mean()), float(both.sum() / high.sum())
    return PlaceFigures(
        place=place,
        tokens=int(here.sum()),
        entropy=float(entropy[here].mean()),
        share=share,
        top_tokens=int(both.sum()),
        top_share=top_share,
        lift=top_share / share,
        frequent=_frequent([(tokens[i], float(entropy[i])) for i in np.flatnonzero(both)], piece),
    )


def _frequent(high: Sequence[tuple[int, float]], piece: Piece) -> list[Frequent]:
    counts = Counter(token for token, _ in high)
    sums: defaultdict[int, float] = defaultdict(float)
    for token, value in high:
        sums[token] += value
    ordered = sorted(counts, key=lambda token: (-counts[token], -sums[token]))[:_FREQUENT]
    return [Frequent(piece(token), counts[token], sums[token] / counts[token]) for token in ordered]


def _written(one: Measured) -> list[int]:
    return [token for token, model in zip(one.rollout.tokens, one.rollout.mask, strict=True) if model]


def _recorded(one: Measured) -> list[float]:
    return [value for value, model in zip(one.rollout.logprobs, one.rollout.mask, strict=True) if model]
