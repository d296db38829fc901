"""Writes a trace in another format."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from headway.errors import HeadwayError, InputError
from headway.profiles.run_logs import event_log
from headway.profiles.traces import TraceOptions, load_trace
from headway.profiles.traces.format import format_of
from headway.profiles.traces.llmservingsim import llmservingsim_of
from headway.profiles.traces.sessions import sessions_of

from .output_file import writable, write_whole

_LOST = "each trajectory is a session: that siblings share a prompt is lost"


def run_export(path: Path, options: TraceOptions, *, to: str, out: Path, console: Console) -> None:
    """Read and write; says what was written, and what the format does not keep."""
    if to == "parquet":
        _export_tables(path, options, out, console)
        return
    writable(out)
    loaded = load_trace(path, options=options)
    workload, recorded = loaded.workload, loaded.recorded
    lines: Iterable[msgspec.Struct] = (
        llmservingsim_of(workload, begun_s=recorded.begun_s if recorded else None)
        if to == "llmservingsim"
        else sessions_of(workload)
    )
    text = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    write_whole(out, text)
    for note in (workload.notes, _LOST, _when(to)):
        console.print(Text(note, style="yellow"), highlight=False, soft_wrap=True)
    _say(console, f"{out}: {workload.trajectories:,} sessions")


def _when(to: str) -> str:
    if to == "sessions":
        return "sessions do not say when they begin; server times are not known and stand as 0"
    return "sessions arrive when they began, whatever has completed by then"


def _export_tables(path: Path, options: TraceOptions, out: Path, console: Console) -> None:
    from headway.profiles.traces.tables import write_tables

    if (format := format_of(path)) != "headway":
        raise InputError(f"{path}: tables are made of event logs, and this is {format}; take another --to")
    if options != TraceOptions(attempt=options.attempt):
        raise InputError("--to parquet writes an event log whole; of the options it takes --attempt only")
    if out.exists():
        raise InputError(f"{out}: is there already; give a folder that is not")
    log = event_log(path, options.attempt)
    partial = out.with_name(out.name + ".partial")
    try:
        partial.mkdir(parents=True)
        try:
            rows = write_tables(log, partial)
            partial.replace(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise HeadwayError(f"{out}: cannot write: {error.strerror or error}") from error
    for name, count in rows.items():
        _say(console, f"{out / name}.parquet: {count:,} rows")


def _say(console: Console, text: str) -> None:
    console.print(Text(text), highlight=False, soft_wrap=True)
