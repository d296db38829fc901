"""Looks into a trace, and prints what is in it."""

import datetime
from collections.abc import Mapping
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from headway.profiles.traces import TraceOptions, load_trace
from headway.profiles.traces.contents import LogContents, WorkloadContents, contents_of
from headway.profiles.traces.format import format_of
from headway.profiles.traces.log_contents import look_through
from headway.profiles.traces.spread import Spread
from headway.profiles.wording import duration, share

from .output_file import write_json

_NO_TIMES = ("constant:0",)
_FORMATS = {
    "headway": "a run of headway",
    "llmservingsim": "sessions in LLMServingSim's format",
    "sessions": "recorded sessions of agents",
    "chats": "chats",
}


def run_info(path: Path, options: TraceOptions, *, json_file: Path | None, console: Console) -> None:
    """Look, write what was found where that is asked for, and print it."""
    contents = _look(path, options)
    if json_file is not None:
        write_json(json_file, contents)
    if isinstance(contents, LogContents):
        _print_log(console, contents)
    else:
        _print_workload(console, contents)


def _look(path: Path, options: TraceOptions) -> LogContents | WorkloadContents:
    format = format_of(path)
    if format == "headway" and not options.latency and not options.tokenizer:
        return look_through(path, attempt=options.attempt)
    timed = format != "chats" or bool(options.latency)
    if not timed:
        options = msgspec.structs.replace(options, latency=_NO_TIMES)
    return contents_of(load_trace(path, options=options).workload, path, format, timed=timed)


def _print_log(console: Console, log: LogContents) -> None:
    _line(console, Text(f"{log.log}: an event log of headway, schema version {log.version}", style="bold"))
    began = datetime.datetime.fromtimestamp(log.wall_ns / 1e9).strftime("%Y-%m-%d %H:%M:%S")
    attempts = f"; attempts {', '.join(map(str, log.attempts))}" if len(log.attempts) > 1 else ""
    _line(
        console,
        Text(
            f"{log.model} under {log.policy}, from {began}, {duration(round(log.span_s * 1e9))}{attempts}",
            style="dim",
        ),
    )
    console.print()
    console.print(_engines(log))
    console.print()
    _line(
        console,
        Text(
            f"{log.groups:,} groups, {log.trajectories:,} trajectories ({log.finished:,} finished, "
            f"{log.failed:,} failed, {log.live:,} without an end); {log.turns:,} turns and "
            f"{log.abandoned:,} abandoned; {log.generated:,} tokens generated; {log.prompt:,} prompt tokens, "
            f"{share(log.cached, log.prompt)} of them cached; {log.preemptions:,} preemptions"
        ),
    )
    console.print()
    console.print(
        _spreads(
            "lengths",
            {
                "turns of a trajectory": log.turns_of_trajectory,
                "prompt of a turn, tokens": log.prompt_of_turn,
                "generated in a turn, tokens": log.generated_of_turn,
            },
        )
    )
    if log.tools:
        console.print()
        console.print(_spreads("tools, seconds", log.tools, digits=3))
    console.print()
    console.print(_events(log))
    for text in _missing(log):
        _line(console, Text(text, style="yellow"))


def _print_workload(console: Console, trace: WorkloadContents) -> None:
    _line(console, Text(f"{trace.trace}: {_FORMATS[trace.format]}", style="bold"))
    _line(console, Text(trace.notes, style="yellow"))
    console.print()
    _line(
        console,
        Text(
            f"{trace.groups:,} groups, {trace.trajectories:,} trajectories, {trace.turns:,} turns, "
            f"{trace.generated:,} tokens generated; {trace.system:,} tokens common to all prompts"
        ),
    )
    console.print()
    lengths = {
        "turns of a trajectory": trace.turns_of_trajectory,
        "prompt of a turn, tokens": trace.prompt_of_turn,
        "generated in a turn, tokens": trace.generated_of_turn,
        "longest context of a trajectory": trace.context_of_trajectory,
    }
    console.print(_spreads("lengths", lengths))
    console.print()
    if trace.waits is None:
        _line(console, Text("no times: --latency says how long tools take", style="yellow"))
    else:
        console.print(_spreads("waits, seconds", {"between two turns": trace.waits}, digits=3))


def _engines(log: LogContents) -> Table:
    table = Table(title="engines", title_justify="left", box=None, header_style="dim")
    facts = {engine.engine: engine for engine in log.engines}
    for column in ("", "kind", "version", "device"):
        table.add_column(column)
    for column in ("KV tokens", "block", "longest context", "turns at a time"):
        table.add_column(column, justify="right")
    for id in log.engine_ids:
        engine = facts.get(id)
        if engine is None:
            table.add_row(escape(id), "not recorded")
            continue
        table.add_row(
            escape(id),
            escape(engine.kind),
            escape(engine.version),
            escape(engine.device),
            f"{engine.kv_tokens:,}",
            f"{engine.block_size:,}",
            f"{engine.max_context:,}",
            "" if engine.max_num_seqs is None else f"{engine.max_num_seqs:,}",
        )
    return table


def _spreads(title: str, spreads: Mapping[str, Spread], *, digits: int = 0) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="dim")
    table.add_column("")
    for column in ("count", "p50", "p90", "p99", "largest", "sum"):
        table.add_column(column, justify="right")
    for name, spread in spreads.items():
        figures = (spread.p50, spread.p90, spread.p99, spread.largest, spread.total)
        table.add_row(escape(name), f"{spread.count:,}", *(f"{figure:,.{digits}f}" for figure in figures))
    return table


def _events(log: LogContents) -> Table:
    table = Table(title="events", title_justify="left", box=None, header_style="dim")
    table.add_column("")
    table.add_column("count", justify="right")
    for kind, count in log.events.items():
        table.add_row(kind, f"{count:,}")
    table.add_row("all", f"{sum(log.events.values()):,}", style="bold")
    return table


def _missing(log: LogContents) -> list[str]:
    """What is wrong with the log."""
    texts = []
    if log.torn:
        texts.append("the last line is incomplete: the writer was ended as it wrote")
    elif not log.closed and log.version > 1:
        texts.append("the writer has not closed the log: it still runs, or was ended")
    if log.lost:
        texts.append(f"events missing: {log.lost:,}, in stretches: {log.gaps:,}")
    if log.unreadable:
        line, why = log.unreadable[0]
        texts.append(f"lines that cannot be read: {len(log.unreadable):,}, the first is line {line}: {why}")
    return texts


def _line(console: Console, text: Text) -> None:
    console.print(text, highlight=False, soft_wrap=True)
