"""Two evaluations on the same tasks, task by task: what differs, by how much, and whether it may be luck.

Invariant: only tasks that both have are compared, each with itself; the others are counted.
"""

import functools
from collections.abc import Callable, Sequence

import msgspec

from headway.errors import InputError

from .evaluation import Evaluation
from .statistics import Estimate, paired, pass_at_k
from .task_score import TaskScore

_Pair = tuple[TaskScore, TaskScore]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of both evaluations over the ``tasks`` that have it in both, and b - a, task by task.

    ``better``, ``worse``: tasks whose figure is higher in b, or lower.
    """

    figure: str
    tasks: int
    a: float
    b: float
    difference: Estimate
    p_value: float
    better: int
    worse: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """b against a. ``settings``: those that differ, as (of a, of b)."""

    a: str
    b: str
    tasks: int
    only_a: int
    only_b: int
    settings: dict[str, tuple[str, str]]
    lines: list[Line]


def compare(a: Evaluation, b: Evaluation) -> Comparison:
    """Compare; raises ``InputError`` where fewer than two tasks are in both."""
    of_a, of_b = ({score.id: score for score in each.scores if score.n} for each in (a, b))
    pairs = [(of_a[id], of_b[id]) for id in of_a if id in of_b]
    if len(pairs) < 2:
        raise InputError(
            f"{len(pairs)} tasks are in both evaluations, and a paired comparison needs two at least; "
            "evaluate both models on the same task file"
        )
    return Comparison(
        a=a.model,
        b=b.model,
        tasks=len(pairs),
        only_a=len(of_a) - len(pairs),
        only_b=len(of_b) - len(pairs),
        settings={
            name: (a.settings.get(name, "-"), b.settings.get(name, "-"))
            for name in sorted({*a.settings, *b.settings})
            if a.settings.get(name) != b.settings.get(name)
        },
        lines=_lines(pairs, _common_ks(a, b)),
    )


def _common_ks(a: Evaluation, b: Evaluation) -> list[int]:
    return sorted({one.k for one in a.figures.pass_at} & {one.k for one in b.figures.pass_at} - {1})


def _lines(pairs: Sequence[_Pair], ks: Sequence[int]) -> list[Line]:
    lines = [_line("pass@1", pairs, lambda score: score.correct / score.n)]
    for k in ks:
        enough = [pair for pair in pairs if min(pair[0].n, pair[1].n) >= k]
        lines.append(_line(f"pass@{k}", enough, functools.partial(_pass_at, k)))
    lines.append(_line("response tokens", pairs, lambda score: score.response_tokens / score.n))
    lines.append(_line("truncated", pairs, lambda score: score.truncated / score.n))
    called = [pair for pair in pairs if pair[0].calls and pair[1].calls]
    lines.append(_line("failed tool calls", called, lambda score: score.failed_calls / score.calls))
    right = [pair for pair in pairs if pair[0].calls_in_correct and pair[1].calls_in_correct]
    lines.append(_line("  in right ones", right, lambda s: s.failed_calls_in_correct / s.calls_in_correct))
    return [line for line in lines if line is not None]


def _pass_at(k: int, score: TaskScore) -> float:
    return pass_at_k(score.n, score.correct, k)


def _line(figure: str, pairs: Sequence[_Pair], value: Callable[[TaskScore], float]) -> Line | None:
    values = [(value(a), value(b)) for a, b in pairs]
    test = paired([b - a for a, b in values])
    if test is None:
        return None
    return Line(
        figure=figure,
        tasks=len(values),
        a=sum(a for a, _ in values) / len(values),
        b=sum(b for _, b in values) / len(values),
        difference=test.difference,
        p_value=test.p_value,
        better=sum(b > a for a, b in values),
        worse=sum(b < a for a, b in values),
    )
