"""Prints what a watch of engines' /metrics came to. Knows nothing of how it was watched."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from headway.profiles.foreign.engine_counts import Latency
from headway.profiles.foreign.figures import EngineFigures
from headway.profiles.foreign.foreign_profile import ForeignProfile
from headway.profiles.foreign.state import State
from headway.profiles.wording import duration, share

_MOST_ENGINES = 24
_HEADINGS = {
    State.UNSEEN: "not\nseen",
    State.ASLEEP: "idle:\nasleep",
    State.BLOCKED: "idle, its\nown queue",
    State.IMBALANCE: "idle, others\nqueue",
    State.IDLE: "idle, not\nknown why",
    State.NO_OUTPUT: "runs, no\noutput",
    State.KV_FULL: "runs,\nKV full",
    State.QUEUEING: "runs,\nqueues",
    State.BUSY: "runs",
}
_LATENCIES = {
    "queue": "queued",
    "prefill": "prefill",
    "decode": "decode",
    "first_token": "first token",
    "inter_token": "next token",
}
_STYLES = {State.BUSY: "green", State.KV_FULL: "yellow", State.IMBALANCE: "bold red", State.UNSEEN: "dim"}


def print_foreign(console: Console, profile: ForeignProfile) -> None:
    """Print the verdict, the engines, how far the readings go, and what they cannot tell."""
    _line(console, Text(profile.verdict, style="bold"))
    console.print()
    for number, finding in enumerate(profile.findings, 1):
        _line(console, Text(f"{number}. {finding.state.replace('_', ' ')}", style="bold"))
        for text, style in ((finding.seen, ""), (f"→ {finding.lever}", "cyan")):
            console.print(Padding(Text(text, style=style), (0, 0, 0, 3)), highlight=False)
    console.print()
    shown = sorted(profile.engines, key=lambda engine: -_idle(engine))[:_MOST_ENGINES]
    console.print(_states(shown, profile.wall_ns))
    console.print(_work(shown))
    if any(engine.latencies for engine in shown):
        console.print(_waits(shown))
    if more := len(profile.engines) - len(shown):
        _line(console, Text(f"and {more} more engines, which were idle less", style="dim"))
    console.print()
    for note in _notes(profile):
        _line(console, Text(note, style="yellow"))
    console.print()
    console.print(_unknowable(profile))


def _line(console: Console, text: Text) -> None:
    console.print(text, highlight=False, soft_wrap=True)


def _idle(engine: EngineFigures) -> int:
    return sum(ns for state, ns in engine.states.items() if State(state).is_idle)


def _states(engines: list[EngineFigures], wall_ns: int) -> Table:
    seen = [state for state in State if any(state in engine.states for engine in engines)]
    table = _table(*(_HEADINGS[state] for state in seen))
    for column, state in zip(table.columns[1:], seen, strict=True):
        column.style = _STYLES.get(state, "")
    for engine in engines:
        shares = (share(engine.states[state], wall_ns) if state in engine.states else "" for state in seen)
        table.add_row(Text(engine.id), *shares)
    return table


def _work(engines: list[EngineFigures]) -> Table:
    table = _table(
        "running\nmean, most",
        "most KV\nin use",
        "tokens/s\nwritten",
        "tokens/s\nread",
        "prefix\nhits",
        "preemp-\ntions",
    )
    for engine in engines:
        table.add_row(
            Text(engine.id),
            f"{engine.mean_running:.1f}, {engine.most_running}",
            f"{engine.most_kv_usage:.0%}",
            f"{engine.generated_per_s:,.0f}",
            f"{engine.prompt_per_s:,.0f}",
            "" if engine.hit_rate is None else f"{engine.hit_rate:.0%}",
            f"{engine.preemptions:,}",
        )
    return table


def _waits(engines: list[EngineFigures]) -> Table:
    """The mean of each latency, and the bound that 99 % of them keep."""
    table = _table(*(f"{heading}\nmean  99 %" for heading in _LATENCIES.values()))
    for engine in engines:
        table.add_row(Text(engine.id), *(_latency(engine.latencies.get(name)) for name in _LATENCIES))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("engine", style="bold", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return ""
    bound = latency.p99_at_most_s
    return f"{_seconds(latency.mean_s)}  " + ("more" if bound is None else f"≤{_seconds(bound)}")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"


def _notes(profile: ForeignProfile) -> list[str]:
    apart = max((engine.apart_ns for engine in profile.engines), default=0)
    notes = [
        f"read every {profile.every_s:g} s for {duration(profile.wall_ns)}, "
        f"at most {apart / 1e9:.1f} s apart: {profile.coverage:.0%} of the engines' time was seen"
    ]
    for engine in profile.engines:
        if engine.restarts:
            notes.append(f"{engine.id}: was restarted, {engine.restarts} times as far as its counters tell")
        if engine.unnoticed_ns:
            part = share(engine.unnoticed_ns, profile.wall_ns)
            notes.append(
                f"{engine.id}: in {part} of the time it worked between two readings that found it idle; "
                "read more often"
            )
    for page in profile.pages:
        if page.failed:
            attempts = page.failed + page.readings
            notes.append(f"{page.url}: {page.failed} of {attempts} readings failed, the last: {page.failure}")
    return notes


def _unknowable(profile: ForeignProfile) -> Table:
    table = Table(
        title="what metrics cannot tell, and where it stands once headway schedules the rollouts",
        title_justify="left",
        caption="headway train, or headway rollout --events FILE; then headway profile",
        caption_justify="left",
        box=None,
        header_style="dim",
        padding=(0, 1),
    )
    table.add_column("not to be known from here", ratio=3)
    table.add_column("in headway's own profile", ratio=2)
    for each in profile.unknowable:
        table.add_row(each.what, each.instead)
    return table
