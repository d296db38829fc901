"""What the default policy is claimed to do, and whether the rows say so.

A claim compares paired by seed and is judged on the median over seeds, in the worst cell that it is about.
A claim that no row is about is not judged.
"""

from collections.abc import Iterator, Sequence

import msgspec

from .comparison import Comparison, Spread, geometric_mean
from .row import Measured

DEFAULT = "headroom"
FIRST_COME = f"{DEFAULT}:least_first=off,backfill=off"  # what fairness is held against
_NOISE = 1e-9


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A claim, what was found, and whether it holds."""

    claim: str
    holds: bool
    found: str


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """At these pressures the rivals take at least ``factor`` times as long as the default policy."""

    rivals: str  # the start of their names; "" for all
    factor: float
    suites: tuple[str, ...] = ()  # all, if empty
    low: float = 0.0
    high: float = float("inf")
    engines: int = 1  # at least so many

    def about(self, comparison: Comparison) -> Iterator[tuple[str, float]]:
        """The rivals and pressures of a comparison that the claim is about."""
        if comparison.engines < self.engines or (self.suites and comparison.suite not in self.suites):
            return
        for pressure in comparison.pressures:
            if self.low <= pressure <= self.high:
                for rival in comparison.policies:
                    if not is_ours(rival) and rival.startswith(self.rivals):
                        yield rival, pressure

    @property
    def text(self) -> str:
        """The claim in words."""
        where = "/".join(self.suites) or "every suite"
        engines = f", {self.engines} engines or more" if self.engines > 1 else ""
        rivals = self.rivals or "any rival"
        return f"{where}{_range(self.low, self.high)}{engines}: at least {self.factor:g}x {rivals}"


_LONG = ("swe", "trace")
CLAIMS = (
    Claim(rivals="", factor=0.98, high=0.5),
    Claim(rivals="sticky_least_loaded", factor=2.5, suites=_LONG, low=2, engines=8),
    Claim(rivals="capped (best", factor=1.15, suites=_LONG, low=2, engines=8),
    Claim(rivals="thunder", factor=1.15, suites=_LONG, low=2, engines=8),
    Claim(rivals="static", factor=1.15, suites=("math",), low=1, high=3),
    Claim(rivals="static_barrier", factor=1.5, suites=("math",), low=1, high=3),
    Claim(rivals="", factor=0.98, suites=("math",), low=1, high=3),
    Claim(rivals="", factor=0.98),
)
_MEAN_TO_BOUND = 1.15
_WORST_TO_BOUND = 1.35
_FAIR_SHARE = 0.99
_FAIR_FACTOR = 2.0


def is_ours(policy: str) -> bool:
    """Whether it is the default policy or an ablation of it."""
    return policy.partition(":")[0] == DEFAULT


def judge(comparisons: Sequence[Comparison], measured: Sequence[Measured] = ()) -> list[Verdict]:
    """Judge every claim that the comparisons are about."""
    verdicts = [verdict for claim in CLAIMS if (verdict := _judge(claim, comparisons))]
    return [*verdicts, *_against_bound(comparisons), *_fairness(measured)]


def _judge(claim: Claim, comparisons: Sequence[Comparison]) -> Verdict | None:
    found: list[tuple[Spread, str]] = []
    for comparison in comparisons:
        for rival, pressure in claim.about(comparison):
            if gains := comparison.gain(DEFAULT, rival, pressure):
                where = f"{comparison.title}, pressure {pressure:g}: {rival}"
                found.append((Spread.of(gains), where))
    if not found:
        return None
    worst, where = min(found, key=lambda pair: pair[0].median)
    return Verdict(
        claim=claim.text,
        holds=worst.median >= claim.factor - _NOISE,
        found=f"least {worst.median:.2f}x ({worst.low:.2f}–{worst.high:.2f}; {where})",
    )


def _against_bound(comparisons: Sequence[Comparison]) -> Iterator[Verdict]:
    ratios = [
        (point.to_bound.median, f"{comparison.title}, pressure {pressure:g}")
        for comparison in comparisons
        for pressure in comparison.pressures
        if (point := comparison.point(DEFAULT, pressure))
    ]
    if ratios:
        mean = geometric_mean([ratio for ratio, _ in ratios])
        worst, where = max(ratios)
        yield Verdict(
            claim=f"makespan over bound, geometric mean: at most {_MEAN_TO_BOUND:g}",
            holds=mean <= _MEAN_TO_BOUND,
            found=f"{mean:.3f}",
        )
        yield Verdict(
            claim=f"makespan over bound, any cell: at most {_WORST_TO_BOUND:g}",
            holds=worst <= _WORST_TO_BOUND,
            found=f"{worst:.3f} ({where})",
        )


def _fairness(measured: Sequence[Measured]) -> Iterator[Verdict]:
    """First tokens against those under admission in order of arrival, trajectory by trajectory."""
    first_come = {m.cell: m for m in measured if m.row.policy == FIRST_COME}
    shares = [
        (_share_in_time(m.first_token_s, first_come[m.cell].first_token_s), m.cell.where)
        for m in measured
        if m.row.policy == DEFAULT and m.cell in first_come
    ]
    if shares:
        worst, where = min(shares)
        yield Verdict(
            claim=f"first token no later than {_FAIR_FACTOR:g}x first-come-first-served's: {_FAIR_SHARE:.0%}",
            holds=worst >= _FAIR_SHARE,
            found=f"least {worst:.1%} of trajectories ({where})",
        )


def _share_in_time(ours: Sequence[float], theirs: Sequence[float]) -> float:
    in_time = [mine <= _FAIR_FACTOR * other for mine, other in zip(ours, theirs, strict=True)]
    return sum(in_time) / len(in_time)


def _range(low: float, high: float) -> str:
    match low > 0, high < float("inf"):
        case True, True:
            return f", pressure {low:g}–{high:g}"
        case True, False:
            return f", pressure >= {low:g}"
        case False, True:
            return f", pressure <= {high:g}"
        case _:
            return ""
