"""Prints a profile: the verdict, what cost time and the lever for it, then the figures behind it."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from headway.profiles.cause import Cause
from headway.profiles.profile import Causes, Finding, GpuProfile, Life, Profile
from headway.profiles.wording import duration, share

from .report import time_table

_FINDINGS = 6
_PARTS = 4  # of a trajectory's life
_BAR = 12  # characters


def print_profile(console: Console, profile: Profile) -> None:
    """Print all of it."""
    _line(console, Text(profile.verdict, style="bold"))
    _line(console, Text(_what(profile), style="dim"))
    console.print()
    for number, finding in enumerate(profile.findings[:_FINDINGS], 1):
        _print_finding(console, number, finding, profile)
    if not profile.findings:
        _line(console, Text("nothing cost as much as half a per cent of the engines' time", style="green"))
    console.print()
    console.print(time_table({engine.id: engine.causes for engine in profile.engines}, profile.wall_ns))
    console.print()
    console.print(_otherwise(profile))
    console.print()
    for title, split in (("by stage of the work", profile.stages), ("by phase of the job", profile.phases)):
        if len(split) > 1:
            console.print(_split(title, split))
            console.print()
    if profile.slowest:
        console.print(_slowest(profile.slowest))
        console.print()
    console.print(_work(profile))
    for gpu in profile.gpus:
        _line(console, Text(_gpu(gpu), style="dim"))
    for text in profile.contradictions:
        _line(console, Text(text, style="bold red"))
    for text in profile.notes:
        _line(console, Text(text, style="yellow"))


def _what(profile: Profile) -> str:
    ended = f"{profile.finished:,} finished"
    failed = f", {profile.failed:,} failed" if profile.failed else ""
    return (
        f"{profile.source}: {profile.model} under {profile.policy}, {len(profile.engines)} engines, "
        f"{duration(profile.wall_ns)}; {profile.trajectories:,} trajectories ({ended}{failed}), "
        f"{profile.turns:,} turns, {profile.generated:,} tokens generated"
    )


def _print_finding(console: Console, number: int, finding: Finding, profile: Profile) -> None:
    total = profile.wall_ns * len(profile.engines)
    head = Text(f"{number}. {_words(finding.cause)}", style="bold")
    upto = "up to " if finding.estimated_ns else ""
    head.append(f"  {upto}{share(finding.lost_ns, total)} of the engines' time", style="bold yellow")
    _line(console, head)
    for text, style in ((finding.seen, ""), (f"→ {finding.lever}", "cyan")):
        console.print(Padding(Text(text, style=style), (0, 0, 0, 3)), highlight=False)


def _otherwise(profile: Profile) -> Table:
    """What idle time would have been called without its rule, and what kept busy engines' batches small."""
    table = Table(title="idle time, all engines", title_justify="left", box=None, header_style="dim")
    table.add_column("")
    table.add_column("idle", justify="right")
    table.add_column("by the next rule it would be")
    table.add_column("batches kept small", justify="right")
    total = profile.wall_ns * len(profile.engines)
    for cause in Cause:
        idle = sum(engine.causes.get(cause, 0) for engine in profile.engines)
        under = sum(engine.under_fill.get(cause, 0) for engine in profile.engines)
        if cause.is_busy or not idle + under:
            continue
        next_rules: Causes = {}
        for engine in profile.engines:
            for name, ns in engine.otherwise.get(cause, {}).items():
                next_rules[name] = next_rules.get(name, 0) + ns
        table.add_row(
            _words(cause),
            share(idle, total) if idle else "",
            Text(_parts(next_rules, idle, 2), style="dim"),
            share(under, total) if under else "",
        )
    return table


def _split(title: str, split: dict[str, Causes]) -> Table:
    """Shares of all engines' time by cause, a column for each label."""
    table = Table(title=title, title_justify="left", box=None, header_style="dim")
    table.add_column("")
    for label in split:
        table.add_column(_words(label), justify="right")
    for cause in Cause:
        if any(causes.get(cause) for causes in split.values()):
            cells = [_cell(causes, cause) for causes in split.values()]
            table.add_row(_words(cause), *cells)
    whole = sum(sum(causes.values()) for causes in split.values())
    table.add_row(
        "of all time", *(share(sum(causes.values()), whole) for causes in split.values()), style="bold"
    )
    return table


def _cell(causes: Causes, cause: Cause) -> str:
    return share(causes[cause], sum(causes.values())) if causes.get(cause) else ""


def _slowest(lives: Sequence[Life]) -> Table:
    table = Table(title="slowest trajectories", title_justify="left", box=None, header_style="dim")
    for column in ("", "took", "turns", "tokens"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    table.add_column("what held it")
    for life in lives:
        length = life.end_ns - life.start_ns
        name = life.id if life.status == "finished" else f"{life.id} ({life.status})"
        table.add_row(
            escape(name),
            duration(length),
            str(life.turns),
            f"{life.generated:,}",
            _parts(life.spent, length, _PARTS),
        )
    return table


def _work(profile: Profile) -> Table:
    """What the engines did while they were busy."""
    table = Table(title="work", title_justify="left", box=None, header_style="dim")
    columns = [
        "turns",
        "at once",
        "most",
        "ms/token",
        "prompt",
        "cached",
        "again",
        "preempted",
    ]
    sampled = any(engine.sm_seen_ns for engine in profile.engines)
    table.add_column("", no_wrap=True)
    for column in [*columns, "SM idle while busy"] if sampled else columns:
        table.add_column(column, justify="right")
    for engine in profile.engines[:16]:
        table.add_row(
            escape(engine.id),
            f"{engine.turns:,}",
            f"{engine.mean_running:.1f}",
            str(engine.max_running),
            f"{engine.seconds_per_token * 1e3:.3g}" if engine.seconds_per_token else "",
            f"{engine.prompt:,}",
            share(engine.cached, engine.prompt),
            share(engine.recomputed, engine.prompt),
            f"{engine.preemptions:,}",
            *([_sm(engine.sm_idle_ns, engine.sm_seen_ns, profile.wall_ns)] if sampled else []),
        )
    if len(profile.engines) > 16:
        table.add_row(f"and {len(profile.engines) - 16} more")
    return table


def _gpu(gpu: GpuProfile) -> str:
    active = f"active for {gpu.sm_mean:.0%}" if gpu.sm_mean is not None else "activity unknown"
    every = f", every {gpu.resolution_s:.3g} s" if gpu.resolution_s else ""
    return f"{gpu.id} {gpu.name}: {active} ({gpu.measure}{every}, {gpu.coverage:.0%} of the time covered)"


def _sm(idle: int | None, seen: int | None, wall_ns: int) -> str:
    if idle is None or not seen:
        return "not sampled"
    return f"{share(idle, seen)} of {share(seen, wall_ns)} seen"


def _parts(parts: Causes, whole: int, most: int) -> str:
    """The largest parts in words."""
    ranked = sorted(parts.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{_words(name)} {share(ns, whole)}" for name, ns in ranked if ns > 0.005 * whole)


def _words(name: str) -> str:
    return escape(name.replace("_", " ").replace("tool:", "tool "))


def _line(console: Console, text: Text) -> None:
    console.print(text, highlight=False, soft_wrap=True)
