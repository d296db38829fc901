"""The ending of a run: before and after, and where every engine's time went."""

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from headway.profiles.cause import Cause

from .run_folder import RunFolder
from .summary import Summary

_STYLES = {
    Cause.BUSY: "green",
    Cause.DISPATCH_LAG: "bold red",
    Cause.KV_FULL: "yellow",
    Cause.TOOL_WAIT: "cyan",
}
_COLUMNS = 3  # engines that fit beside each other on a narrow terminal


def print_report(console: Console, summary: Summary, folder: RunFolder) -> None:
    """Print what the run came to."""
    if summary.eval or summary.steps:
        console.print(Panel(_outcome(summary), title=_title(summary), expand=False, padding=(1, 2)))
        console.print()
    if summary.idle:
        console.print(time_table(summary.idle, summary.wall_ns))
        console.print()
    for alarm in summary.alarms:
        console.print(f"step {alarm.step}: {alarm.reason}", style="bold red", highlight=False, soft_wrap=True)
    console.print(f"run folder: [bold]{escape(str(folder.path))}[/]", highlight=False, soft_wrap=True)
    names = {
        folder.events: "event log",
        folder.rollouts: "every rollout",
        folder.metrics: "every figure of every step",
        folder.path / "tensorboard": "the same, for tensorboard",
        folder.transcripts: "a few rollouts of every step, to read",
        folder.model: "the policy as it stands (HF)",
        folder.checkpoints: "from which --resume auto goes on",
        folder.summary: "this summary",
    }
    for path, what in names.items():
        if path.exists():
            console.print(f"  {path.name:16}{what}", highlight=False)


def _title(summary: Summary) -> str:
    state = "after" if summary.complete else "ended early, after"
    steps = len(summary.steps)
    return f"headway: {escape(summary.model)} {state} {steps} step{'' if steps == 1 else 's'}"


def _outcome(summary: Summary) -> Table:
    table = Table(box=None, header_style="dim")
    for column in ("", "before", "after"):
        table.add_column(column, justify="left" if not column else "right")
    if summary.eval:
        first, last = summary.eval[0], summary.eval[-1] if len(summary.eval) > 1 else None
        table.add_row(
            f"pass@1, {first.n} held-out rollouts",
            f"{first.pass_at_1:.1%}",
            f"[bold]{last.pass_at_1:.1%}[/]" if last else "-",
        )
        table.add_row(
            "tool errors in correct rollouts",
            f"{first.tool_error_in_correct:.1%}",
            f"[bold]{last.tool_error_in_correct:.1%}[/]" if last else "-",
        )
    seconds = sum(step.seconds for step in summary.steps)
    tokens = sum(step.generated_tokens for step in summary.steps)
    if seconds:
        table.add_row("tokens/s, whole steps", "", f"{tokens / seconds:,.0f}")
    table.add_row("preemptions", "", f"{sum(step.preemptions for step in summary.steps):,}")
    difference = f"{summary.logprob_max_abs_diff:.1e}"
    table.add_row("largest logprob difference to trainer", "", difference)
    t = summary.trajectories
    failed = "failed" if summary.complete else "failed or cut off"
    table.add_row("trajectories", "", f"{t.started:,} ({t.failed:,} {failed})")
    return table


def time_table(idle: dict[str, dict[str, int]], wall_ns: int) -> Table:
    """Causes by engine, in seconds and as a share of the wall time, which they sum to.

    A fleet too large for a column each is shown by its mean, least and most.
    """
    table = Table(title="where each engine's time went", title_justify="left", box=None, header_style="dim")
    table.add_column("")
    each = [column for engine in idle for column in (engine, "")]
    for column in each if len(idle) <= _COLUMNS else ("mean", "", "least", "most"):
        table.add_column(column, justify="right")
    for cause in Cause:
        if any(cause in spent for spent in idle.values()):
            cells = _cells([spent.get(cause, 0) for spent in idle.values()], wall_ns)
            table.add_row(cause.replace("_", " "), *cells, style=_STYLES.get(cause, ""))
    total = _cells([sum(spent.values()) for spent in idle.values()], wall_ns)
    table.add_row("wall time", *total, style="bold")
    return table


def _cells(spent: list[int], wall_ns: int) -> list[str]:
    """One row: nanoseconds of each engine, or of the fleet."""
    wall = max(wall_ns, 1)
    if len(spent) <= _COLUMNS:
        return [cell for ns in spent for cell in (f"{ns / 1e9:,.1f} s", f"{ns / wall:.1%}")]
    mean = sum(spent) / len(spent)
    return [f"{mean / 1e9:,.1f} s", *(f"{ns / wall:.1%}" for ns in (mean, min(spent), max(spent)))]
