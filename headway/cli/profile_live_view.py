"""Draws a run that goes on: where its engines' time went, what they and its trajectories do now.

Knows nothing of how the run is followed.
"""

from collections.abc import Iterable

from rich.console import ConsoleDimensions, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headway.profiles.cause import Cause
from headway.profiles.live.live_run import LiveRun
from headway.profiles.live.recent import Stretch
from headway.profiles.live.snapshot import Snapshot, Spent
from headway.profiles.verdict import idle_sentence
from headway.profiles.wording import duration, share

_ELDEST = 5
_WIDE = 116  # columns, for all that is known of an engine
_WORTH_A_ROW = 0.0005  # of any engine's time
_COLUMNS = 3  # engines that fit beside each other, twice
_LINES_AROUND = 16  # all but the engines, the causes and the eldest
_STYLES = {
    Cause.UNATTRIBUTED: "red",
    Cause.STARTUP: "bright_blue",
    Cause.WEIGHT_SYNC: "bright_magenta",
    Cause.STALLED: "bold red",
    Cause.BUSY_RECOMPUTE: "dark_green",
    Cause.BUSY: "green",
    Cause.KV_FULL: "yellow",
    Cause.CAP: "dark_orange",
    Cause.AFFINITY_HOLD: "orange4",
    Cause.BARRIER: "dark_orange",
    Cause.TICK: "dark_orange",
    Cause.DISPATCH_LAG: "bold red",
    Cause.IMBALANCE: "magenta",
    Cause.TOOL_WAIT: "cyan",
    Cause.LONG_TAIL: "blue",
    Cause.TRAINING: "purple",
}
_OTHER = "bright_black"  # nothing was there for the engine to do


def render_run(run: LiveRun, *, source: str, status: str, size: ConsoleDimensions) -> RenderableType:
    """All of it, in about that size; ``status`` says how far the run has been followed."""
    now = run.snapshot()
    minute = run.last_minute(now)
    eldest = _eldest(run)
    causes = [cause for cause in Cause if _is_told(cause, now) or _is_told(cause, minute)]
    room = max(size.height - _LINES_AROUND - len(causes) - eldest.row_count, 4)
    title = Text(f"{source}  {run.header.model} · {run.header.policy}  ", overflow="ellipsis", no_wrap=True)
    title.append(status, style="dim")
    parts: list[RenderableType] = [
        title,
        Text(idle_sentence(now.spent.values()), style="bold"),
        Text(f"last {duration(minute.wall_ns)}: {idle_sentence(minute.spent.values())}"),
        "",
        Text(doing(now)),
        "",
        _engines(now, minute, room, wide=size.width >= _WIDE),
        "",
        _causes(causes, now, minute),
    ]
    return Group(*parts, "", eldest) if eldest.row_count else Group(*parts)


def line(run: LiveRun) -> str:
    """The same in one line."""
    now = run.snapshot()
    minute = run.last_minute(now)
    written = sum(minute.per_s(engine.id) for engine in now.engines)
    said = (
        f"{duration(now.wall_ns)}: {idle_sentence(now.spent.values())}; last {duration(minute.wall_ns)}: "
        f"{idle_sentence(minute.spent.values())}, {written:,.0f} tokens/s; {doing(now)}"
    )
    if eldest := run.eldest(1):
        said += f"; eldest {eldest[0].id}, {duration(run.now - eldest[0].started)}, {eldest[0].doing}"
    return said


def doing(now: Snapshot) -> str:
    """What the trajectories are doing at the moment."""
    ready = ", ".join(f"{number} {reason.replace('_', ' ')}" for reason, number in now.ready.items())
    step = f"step {now.step}, {now.phase}: " if now.step else ""
    return (
        f"{step}{now.generating} generating, {sum(now.ready.values())} ready"
        + (f" ({ready})" if ready else "")
        + f", {now.tools} in tools, {now.agents} in agents; {now.finished:,} finished, {now.failed:,} failed"
    )


def _is_told(cause: Cause, of: Snapshot | Stretch) -> bool:
    return any(spent.get(cause, 0) >= max(_WORTH_A_ROW * of.wall_ns, 1) for spent in of.spent.values())


def _engines(now: Snapshot, minute: Stretch, room: int, *, wide: bool) -> RenderableType:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("engine", style="bold", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in ("turns", "queued", "tokens/s", "preempted", "KV"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("in use", "weights") if wide else ():
        table.add_column(heading, no_wrap=True)
    table.add_column("last minute", no_wrap=True)
    shown = now.engines if len(now.engines) <= room else now.engines[: room - 1]
    for engine in shown:
        version = "" if engine.weight_version is None else str(engine.weight_version)
        bar = ProgressBar(total=1.0, completed=engine.kv_usage, width=12)
        kv: list[RenderableType] = [bar, version] if wide else []
        table.add_row(
            Text(engine.id),
            Text(engine.state.replace("_", " "), style="green" if engine.state == "ready" else "yellow"),
            f"{engine.running:,}",
            f"{engine.queued:,}",
            f"{minute.per_s(engine.id):,.0f}",
            f"{engine.preemptions:,}",
            Text(f"{engine.kv_usage:.0%}", style="cyan"),
            *kv,
            _bar(minute.spent.get(engine.id, {}), minute.wall_ns, width=24 if wide else 14),
        )
    if len(shown) < len(now.engines):
        return Group(table, Text(f" and {len(now.engines) - len(shown)} more engines", style="dim"))
    return table


def _bar(spent: dict[Cause, int], wall_ns: int, *, width: int) -> Text:
    """The time in coloured blocks, by cause, which end where the sums of shares do."""
    bar = Text()
    passed = drawn = 0
    for cause, ns in spent.items():
        passed += ns
        upto = round(passed / max(wall_ns, 1) * width)
        bar.append("█" * (upto - drawn), style=_STYLES.get(cause, _OTHER))
        drawn = upto
    return bar


def _causes(causes: Iterable[Cause], now: Snapshot, minute: Stretch) -> Table:
    """Causes by engine, of the whole run and of the last minute; of many engines the mean, least and most."""
    engines = list(now.spent)
    few = len(engines) <= _COLUMNS
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("time went to")
    for label in ("run", "minute"):
        for heading in engines if few else ("mean", "least", "most"):
            table.add_column(Text(f"{label}\n{heading}"), justify="right")
    for cause in causes:
        cells = [*_cells(cause, engines, now.spent, now.wall_ns, few=few)]
        cells += _cells(cause, engines, minute.spent, minute.wall_ns, few=few)
        table.add_row(cause.replace("_", " "), *cells, style=_STYLES.get(cause, _OTHER))
    return table


def _cells(cause: Cause, engines: list[str], spent: Spent, wall_ns: int, *, few: bool) -> list[str]:
    each = [spent.get(engine, {}).get(cause, 0) for engine in engines]
    shown = each if few else [sum(each) / len(each), min(each), max(each)]
    return [share(ns, wall_ns) if ns >= _WORTH_A_ROW * wall_ns else "" for ns in shown]


def _eldest(run: LiveRun) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("slowest live", no_wrap=True)
    table.add_column("for", justify="right")
    table.add_column("turns", justify="right")
    table.add_column("is now", no_wrap=True)
    for elder in run.eldest(_ELDEST):
        table.add_row(
            Text(elder.id),
            duration(run.now - elder.started),
            str(elder.turns),
            Text(f"{elder.doing}, for {duration(run.now - elder.since)}"),
        )
    return table
