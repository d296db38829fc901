"""``headway profile``: its options, its help, and which of the ways to profile is meant."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from headway.errors import InputError

from .endings import try_all
from .output_file import writable, write_json, write_whole


def profile(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|LOG|URL...",
            help="A run folder, an event log (.jsonl, .jsonl.gz), or the /metrics addresses of vLLM servers.",
        ),
    ],
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", callback=writable, help="One page to look at: needs nothing else."),
    ] = None,
    perfetto: Annotated[
        Path | None,
        typer.Option(metavar="FILE", callback=writable, help="A trace for ui.perfetto.dev."),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", callback=writable, help="Every figure of the profile."),
    ] = None,
    attempt: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Of a run that was resumed: which attempt. Default: the last."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Watch a job that runs; Ctrl-C leaves it alone.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How often to look, of --live and of servers.")
    ] = 1.0,
    seconds: Annotated[
        float | None,
        typer.Option(min=1, metavar="SECONDS", help="How long to watch servers. Default: until Ctrl-C."),
    ] = None,
) -> None:
    """Say where every second of every engine went, and what to do about it.

    Each engine is busy, or idle for exactly one cause; the causes sum to the wall time to the nanosecond.
    First comes a verdict, then what cost most with the lever to pull, then the tables behind it. Recorded are
    all runs of headway train, rollout --events and demo; docs/profiling.md explains every figure.

    Examples: headway profile runs/mine --html profile.html · headway profile runs/mine --live ·
    headway profile http://host:8000/metrics --seconds 60
    """
    console = Console()
    urls = [text for text in source if text.startswith(("http://", "https://"))]
    if urls:
        if len(urls) != len(source) or html or perfetto or live or attempt:
            raise InputError(
                "addresses of servers are watched on their own, with --every, --seconds and --json; give no "
                "run or log beside them, and no other option"
            )
        from .profile_foreign import run_foreign

        run_foreign(urls, seconds=seconds, every_s=every, console=console, json_file=json)
        return
    if len(source) > 1:
        raise InputError(f"{source[1]}: one run or event log at a time; servers can be several")
    from headway.profiles.run_logs import event_log

    if live:
        if html or perfetto or json:
            raise InputError("--live only shows; leave out --html, --perfetto and --json")
        from .profile_live import run_live

        run_live(Path(source[0]), console, every_s=every)
        return
    run_profile(event_log(Path(source[0]), attempt), html=html, perfetto=perfetto, json_file=json)


def run_profile(log: Path, *, html: Path | None, perfetto: Path | None, json_file: Path | None) -> None:
    """Profile an event log, write what was asked for, and print it."""
    from headway.profiles.event_log import Reader
    from headway.profiles.profiler import profile_log

    from .profile_report import print_profile

    header = Reader(log).header
    timeline = None
    if html is not None:
        from headway.profiles.timeline import Timeline

        timeline = Timeline(header.engines, header.t)
    with _progress() as progress:
        bar = progress.add_task(f"reading {log.name}", total=None)
        result = profile_log(
            log,
            on_interval=timeline.on_interval if timeline else None,
            sinks=[timeline] if timeline else [],
            on_progress=lambda count: progress.update(bar, completed=count),
        )

    def page() -> None:
        if html is not None and timeline is not None:
            from headway.profiles.report.page import html_page

            timeline.finish(header.t + result.wall_ns)
            write_whole(html, html_page(result, timeline).encode())

    def trace() -> None:
        if perfetto is not None:
            from headway.profiles.report.perfetto import write_perfetto

            write_perfetto(perfetto, log)

    try_all(
        page,
        trace,
        lambda: write_json(json_file, result) if json_file else None,
        lambda: print_profile(Console(), result),
    )


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} events"),
        console=Console(stderr=True),
        transient=True,
    )
