"""Draws evaluations and their comparison: each figure with its interval as a mark on a scale."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from headway.trainer.evaluation import Comparison, Evaluation, Figures, TaskScore
from headway.trainer.evaluation.comparison import Line
from headway.trainer.evaluation.statistics import Estimate

_SCALE = 29  # characters; odd, so that there is a middle
_BARS = " ▁▂▃▄▅▆▇█"
_MOST_BARS = 17
_LOWER_IS_BETTER = ("truncated", "failed tool calls", "  in right ones")


def print_evaluation(console: Console, evaluation: Evaluation, failures: dict[str, int]) -> None:
    """Print the figures, how the tasks spread, and what is missing."""
    figures = evaluation.figures
    console.print(
        f"[bold]{escape(evaluation.model)}[/] on {escape(evaluation.tasks)}: "
        f"{figures.rollouts:,} rollouts of {figures.tasks:,} tasks",
        highlight=False,
        soft_wrap=True,
    )
    console.print(_figures(figures, evaluation.samples))
    console.print(_spread(evaluation.scores), highlight=False, soft_wrap=True)
    console.print(f"intervals: {evaluation.interval}", style="dim", highlight=False, soft_wrap=True)
    if not evaluation.complete:
        console.print(
            "Rollouts are missing: this is not the whole evaluation.", style="yellow", soft_wrap=True
        )
    for failure, count in failures.items():
        console.print(f"  {count} x {escape(failure)}", highlight=False, soft_wrap=True)


def _figures(figures: Figures, samples: int) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column(_heading("0 %", "100 %"), no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("", style="dim", no_wrap=True)
    for one in figures.pass_at:
        name = f"pass@1, avg@{samples}" if one.k == 1 else f"pass@{one.k}"
        note = "" if one.tasks == figures.tasks else f"{one.tasks} tasks"
        _share_row(table, name, one.estimate, note, style="bold green")
    _share_row(table, "truncated", figures.truncated, style="yellow")
    _share_row(table, "failed tool calls", figures.tool_error, style="red")
    _share_row(table, "  in right ones", figures.tool_error_in_correct, style="red")
    _mean_row(table, "response tokens", figures.response_tokens, 0)
    _mean_row(table, "turns", figures.turns, 1)
    return table


def _share_row(
    table: Table, name: str, estimate: Estimate | None, note: str = "", *, style: str = ""
) -> None:
    if estimate is None:
        table.add_row(name, "–", "", "", note)
        return
    interval = f"{estimate.low:.1%} – {estimate.high:.1%}"
    table.add_row(
        name, Text(f"{estimate.value:.1%}", style=style), _mark(estimate, 0.0, 1.0, style), interval, note
    )


def _mean_row(table: Table, name: str, estimate: Estimate | None, digits: int) -> None:
    if estimate is not None:
        interval = f"{estimate.low:,.{digits}f} – {estimate.high:,.{digits}f}"
        table.add_row(name, f"{estimate.value:,.{digits}f}", "", interval, "")


def _mark(estimate: Estimate, low: float, high: float, style: str) -> Text:
    """The interval as a line and the figure as a dot on a scale from ``low`` to ``high``."""

    def place(value: float) -> int:
        return min(max(round((value - low) / (high - low) * (_SCALE - 1)), 0), _SCALE - 1)

    start, end, dot = place(estimate.low), place(estimate.high), place(estimate.value)
    scale = ["┊" if spot in (0, _SCALE // 2, _SCALE - 1) else " " for spot in range(_SCALE)]
    scale[start : end + 1] = "━" * (end + 1 - start)
    scale[dot] = "●"
    text = Text("".join(scale), style="dim")
    text.stylize(f"not dim {style}", start, end + 1)
    return text


def _heading(left: str, right: str) -> str:
    return left + right.rjust(_SCALE - len(left))


def _spread(scores: list[TaskScore]) -> str:
    """How many tasks are solved never, sometimes and always, with a bar for each share between."""
    scored = [score for score in scores if score.n]
    most = min(max((score.n for score in scored), default=1) + 1, _MOST_BARS)
    counts = [0] * most
    for score in scored:
        counts[round(score.correct / score.n * (most - 1))] += 1
    peak = max([*counts, 1])
    bars = "".join(_BARS[-(-count * (len(_BARS) - 1) // peak)] for count in counts)
    never, always = sum(not s.correct for s in scored), sum(s.correct == s.n for s in scored)
    sometimes = len(scored) - never - always
    return f" tasks solved never {never}, sometimes {sometimes}, always {always}   0 %▕{bars}▏100 %"


def print_comparison(console: Console, comparison: Comparison, files: tuple[str, str]) -> None:
    """Print every figure of both, the difference, and what is not alike."""
    console.print(
        f"A  [bold]{escape(comparison.a)}[/]  {escape(files[0])}\n"
        f"B  [bold]{escape(comparison.b)}[/]  {escape(files[1])}\n"
        f"{comparison.tasks:,} tasks in both; {comparison.only_a:,} only in A and {comparison.only_b:,} only "
        "in B are left out",
        highlight=False,
        soft_wrap=True,
    )
    console.print(_differences(comparison))
    console.print(
        "B - A task by task; 95 % intervals, Student; p: sign-flip test; up, down: tasks",
        style="dim",
        highlight=False,
    )
    for name, (a, b) in comparison.settings.items():
        console.print(
            f"not alike: {name} is {escape(a)} in A and {escape(b)} in B",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )


def _differences(comparison: Comparison) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for column in ("", "A", "B", "B - A", "95 % interval", "p", "up", "down"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for line in comparison.lines:
        difference, plain = line.difference, line.figure == "response tokens"

        def say(value: float, sign: str = "", plain: bool = plain) -> str:
            return f"{value:{sign},.0f}" if plain else f"{value:{sign}.1%}"

        table.add_row(
            line.figure,
            say(line.a),
            say(line.b),
            Text(say(difference.value, "+"), style=_style(line)),
            f"{say(difference.low, '+')} – {say(difference.high, '+')}",
            "<0.001" if line.p_value < 0.001 else f"{line.p_value:.3f}",
            str(line.better),
            str(line.worse),
        )
    return table


def _style(line: Line) -> str:
    """Green for a gain and red for a loss, where the interval leaves no doubt which it is."""
    difference = line.difference
    if difference.low <= 0 <= difference.high or line.figure == "response tokens":
        return "bold"
    gain = (difference.value > 0) != (line.figure in _LOWER_IS_BETTER)
    return "bold green" if gain else "bold red"
