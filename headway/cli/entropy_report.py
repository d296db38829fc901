"""Measures the entropy of recorded rollouts, batch by batch, and shows what it says.

Invariant: what was measured is shown and written, however the command ends.
"""

import asyncio
import functools
import random
from collections import deque
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from headway.errors import InputError
from headway.scheduler import Rollout
from headway.trainer.entropy import EntropyModel, EntropyReport, Measured, analyse
from headway.trainer.entropy.forward import batches
from headway.trainer.entropy.page import NAMES, entropy_page
from headway.trainer.entropy.places import Piece
from headway.trainer.rollout_file import read_rollouts
from headway.trainer.transcript import choose, visible

from .endings import finally_all, try_all
from .output_file import write_json, write_whole
from .recorded import Recorded
from .runtime import run_async
from .training_checks import check_device

_BAR = 12
_FOREIGN = 0.05  # a mean difference of log-probabilities that no rounding makes


class EntropyJob(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; see ``headway entropy --help``."""

    source: Path
    model: str | None
    rollouts: int
    top: float
    first: int
    show: int
    batch_tokens: int
    device: str


def run_entropy(job: EntropyJob, *, html_file: Path | None, json_file: Path | None, console: Console) -> None:
    """Measure to the end, and print and write the analysis."""
    check_device(job.device)
    recorded = Recorded.find(job.source, job.model)
    chat = recorded.chat()
    piece: Piece = functools.cache(lambda token: chat.transcript([token]))
    rollouts = _last(recorded.rollouts, job.rollouts)
    measured: list[Measured] = []

    def conclude() -> None:
        if not measured:
            return
        complete = len(measured) == len(rollouts)
        report = analyse(measured, piece, top=job.top, first=job.first, complete=complete)
        try_all(
            lambda: print_entropy(console, report),
            lambda: write_json(json_file, report) if json_file else None,
            lambda: _write_page(html_file, job, report, measured, piece) if html_file else None,
        )

    with finally_all(conclude):
        run_async(lambda: _measure(recorded.require_model(), job, rollouts, measured))


def print_entropy(console: Console, report: EntropyReport) -> None:
    """Print the table."""
    console.print(
        f"{report.tokens:,} tokens of {report.rollouts:,} rollouts; mean entropy {report.entropy:.3f} nats; "
        f"the highest {report.top:.0%} have at least {report.threshold:.3f}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(_table(report))
    for one in report.places:
        said = "  ".join(f"{escape(repr(visible(each.text)))} {each.count}" for each in one.frequent)
        console.print(f"[dim]{NAMES[one.place]}:[/] {said}", highlight=False, soft_wrap=True)
    if report.logprob_mean_abs_diff > _FOREIGN:
        console.print(
            f"The recorded log-probabilities differ by {report.logprob_mean_abs_diff:.2g} in the mean: other "
            "weights than these wrote the rollouts.",
            style="yellow",
            soft_wrap=True,
        )
    if not report.complete:
        console.print("Ended before every rollout was measured.", style="yellow")


def _table(report: EntropyReport) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for column in ("place", "tokens", "entropy", "of all", "of high", "lift", ""):
        table.add_column(column, justify="left" if column in ("place", "") else "right", no_wrap=True)
    most = max(one.lift for one in report.places) or 1.0
    for one in report.places:
        style = "bold green" if one.lift > 1 else "dim"
        table.add_row(
            NAMES[one.place],
            f"{one.tokens:,}",
            f"{one.entropy:.3f}",
            f"{one.share:.1%}",
            f"{one.top_share:.1%}",
            Text(f"{one.lift:.2f}", style=style),
            Text("█" * round(one.lift / most * _BAR), style=style),
        )
    return table


def _last(path: Path, count: int) -> list[Rollout]:
    """The last rollouts of a file in which a model wrote something."""
    last = deque((rollout for rollout in read_rollouts(path) if any(rollout.mask)), maxlen=count)
    if not last:
        raise InputError(f"{path}: no rollout in it has a token that a model wrote")
    return list(last)


async def _measure(
    model_folder: Path, job: EntropyJob, rollouts: list[Rollout], measured: list[Measured]
) -> None:
    """Add to ``measured``; a signal ends it between two batches."""
    model = await asyncio.to_thread(EntropyModel, model_folder, device=job.device)
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("reading rollouts", total=len(rollouts))
        for batch in batches(rollouts, job.batch_tokens):
            measured += await asyncio.to_thread(model.measure, batch)
            progress.advance(bar, len(batch))


def _write_page(
    path: Path, job: EntropyJob, report: EntropyReport, measured: list[Measured], piece: Piece
) -> None:
    shown = choose([one.rollout for one in measured], job.show, random.Random(0))
    by_id = {one.rollout.id: one for one in measured}
    page = entropy_page(
        f"Entropy by place: {job.source}", report, [by_id[rollout.id] for rollout in shown], piece
    )
    write_whole(path, page.encode("utf-8", "replace"))
