"""``headway bench faults`` and ``headway bench agents``: the sandbox under kill -9, and under a crowd."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from headway.errors import HeadwayError
from headway.sandbox import Sandbox, ZygoteSandbox
from headway.sandbox.bench.agents import Agents, wait_for_all
from headway.sandbox.bench.faults import Faults, inflict
from headway.sandbox.cluster import ClusterConfig, RaySandbox

from .output_file import write_json
from .runtime import run_async

T = TypeVar("T")


def run_faults(
    *,
    kills: int,
    outstanding: int,
    workers: int,
    nodes: int,
    seed: int,
    json_file: Path | None,
    console: Console,
) -> Faults:
    """Kill processes under load and show what became of the calls; raises where any was lost or is left."""

    async def run(advance: Callable[[], None]) -> Faults:
        sandbox, roots = await _victim(nodes, workers)
        return await inflict(sandbox, roots, kills=kills, outstanding=outstanding, seed=seed, on_kill=advance)

    faults = _with_progress("killing", kills, run)
    killed = ", ".join(f"{count} {kind}" for kind, count in sorted(faults.kills.items()))
    _print(
        console, faults, title=f"{sum(faults.kills.values()):,} processes killed: {killed}", skip=("kills",)
    )
    if json_file is not None:
        write_json(json_file, faults)
    if faults.lost or faults.wrong or faults.left:
        raise HeadwayError(
            f"{faults.lost} calls lost, {faults.wrong} wrong, {faults.left} processes left behind"
        )
    return faults


async def _victim(nodes: int, workers: int) -> tuple[Sandbox, Callable[[], list[int]]]:
    """A sandbox to kill processes of, in this process or on Ray, and the processes above its zygotes."""
    if not nodes:
        return await ZygoteSandbox.start(workers=workers), lambda: [os.getpid()]
    config = ClusterConfig(cpus_per_node=0.1, pause_s=0.05)
    cluster = await RaySandbox.start(nodes, workers_per_node=workers, config=config)
    return cluster, lambda: [node.pid for node in cluster.nodes if node.pid is not None]


def run_agents(
    *, agents: int, within_s: float, workers: int, seed: int, json_file: Path | None, console: Console
) -> Agents:
    """Let many agents wait at once and show how far their event loop falls behind."""

    async def run(advance: Callable[[], None]) -> Agents:
        async with await ZygoteSandbox.start(workers=workers) as sandbox:
            return await wait_for_all(sandbox, agents=agents, within_s=within_s, seed=seed, on_answer=advance)

    seen = _with_progress("answering", agents, run)
    _print(console, seen, title=f"{agents:,} agents, each waiting for one tool call", skip=("agents",))
    if json_file is not None:
        write_json(json_file, seen)
    if seen.lost:
        raise HeadwayError(f"{seen.lost} calls were lost: not answered, or wrongly")
    return seen


def _with_progress(what: str, total: int, run: Callable[[Callable[[], None]], Awaitable[T]]) -> T:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)

        async def running() -> T:
            return await run(lambda: progress.advance(task))

        return run_async(running)


def _print(console: Console, figures: msgspec.Struct, *, title: str, skip: tuple[str, ...]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    for name, value in msgspec.structs.asdict(figures).items():
        if name not in skip:
            shown = f"{value / (1 << 20):,.0f} MiB" if name.endswith("bytes") else f"{value:,.4g}"
            table.add_row(
                name.replace("_", " "), f"{value:,}" if isinstance(value, int) and value < 1 << 20 else shown
            )
    console.print(table)
