"""The ending of a run: before and after, and where every engine's time went."""

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from headway.profiles.attribution import Cause

from .run_folder import RunFolder
from .summary import Summary

_STYLES = {
    Cause.BUSY: "green",
    Cause.DISPATCH_LAG: "bold red",
    Cause.KV_FULL: "yellow",
    Cause.TOOL_WAIT: "cyan",
}


def print_report(console: Console, summary: Summary, folder: RunFolder) -> None:
    """Print what the run came to."""
    if len(summary.eval) > 1 or summary.steps:
        console.print(Panel(_outcome(summary), title=_title(summary), expand=False, padding=(1, 2)))
    if summary.idle:
        console.print(time_table(summary.idle, summary.wall_ns))
    console.print(f"run folder: [bold]{escape(str(folder.path))}[/]", highlight=False, soft_wrap=True)
    names = {
        folder.events: "event log",
        folder.rollouts: "every rollout",
        folder.path / "metrics.jsonl": "metrics",
        folder.path / "tensorboard": "metrics, for tensorboard",
        folder.checkpoint: "the policy as it stands (HF)",
        folder.summary: "this summary",
    }
    for path, what in names.items():
        if path.exists():
            console.print(f"  {path.name:14} {what}", highlight=False)


def _title(summary: Summary) -> str:
    state = "after" if summary.complete else "ended early, after"
    return f"headway: {escape(summary.model)} {state} {len(summary.steps)} steps"


def _outcome(summary: Summary) -> Table:
    table = Table(box=None, header_style="dim")
    for column in ("", "before", "after"):
        table.add_column(column, justify="left" if not column else "right")
    if len(summary.eval) > 1:
        first, last = summary.eval[0], summary.eval[-1]
        table.add_row(
            f"pass@1 on {first.n} held-out rollouts",
            f"{first.pass_at_1:.1%}",
            f"[bold]{last.pass_at_1:.1%}[/]",
        )
        table.add_row(
            "failed tool calls inside correct rollouts",
            f"{first.tool_error_in_correct:.1%}",
            f"[bold]{last.tool_error_in_correct:.1%}[/]",
        )
    seconds = sum(step.seconds for step in summary.steps)
    tokens = sum(step.generated_tokens for step in summary.steps)
    if seconds:
        table.add_row("tokens/s, whole steps", "", f"{tokens / seconds:,.0f}")
    table.add_row("preemptions", "", f"{sum(step.preemptions for step in summary.steps):,}")
    table.add_row("largest logprob difference, engine to trainer", "", f"{summary.logprob_max_abs_diff:.1e}")
    t = summary.trajectories
    table.add_row("trajectories", f"{t.started:,} started", f"{t.finished:,} finished, {t.failed:,} failed")
    return table


def time_table(idle: dict[str, dict[str, int]], wall_ns: int) -> Table:
    """Causes by engine: seconds and share of wall time; each column sums to its wall time."""
    table = Table(title="where each engine's time went", title_justify="left", box=None, header_style="dim")
    table.add_column("")
    for engine in idle:
        table.add_column(engine, justify="right")
        table.add_column("", justify="right")
    causes = [cause for cause in Cause if any(cause in causes for causes in idle.values())]
    for cause in causes:
        cells = [_cell(causes.get(cause, 0), wall_ns) for causes in idle.values()]
        style = _STYLES.get(cause, "")
        table.add_row(cause.replace("_", " "), *[text for cell in cells for text in cell], style=style)
    totals = [_cell(sum(causes.values()), wall_ns) for causes in idle.values()]
    table.add_row("wall time", *[text for cell in totals for text in cell], style="bold")
    return table


def _cell(ns: int, wall_ns: int) -> tuple[str, str]:
    return f"{ns / 1e9:,.1f} s", f"{ns / max(wall_ns, 1):.1%}"
