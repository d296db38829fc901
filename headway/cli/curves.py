"""``headway curves``: its options and its help."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from . import session_options as options
from .output_file import writable


def curves(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders of trainings.")],
    baseline: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What the others are held against. Default: the first named."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Such as eval/measures/solved or step/update/entropy; may be given again. Default: held-out "
            "pass@1, tool errors in correct rollouts, response tokens.",
        ),
    ] = None,
    smooth: Annotated[
        int, typer.Option(min=1, metavar="N", help="Each value of a training step: the mean of the last N.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", callback=writable, help="Also draw the curves here."),
    ] = None,
    json: options.Json = None,
) -> None:
    """Compare trainings by their learning curves.

    Runs whose configurations have the same `name` are seeds of one variant. At each step: the mean over seeds
    and their standard deviation; for each variant but the first its difference from the first, run against
    run of the same seed, with a 95 % interval (Student's).

        headway curves runs/roc-* runs/grpo-* --out curves.svg
    """
    from headway.trainer.curves.comparison import DEFAULT_METRICS

    from .curves_report import run_curves

    run_curves(
        runs,
        metric or DEFAULT_METRICS,
        baseline=baseline,
        smooth=smooth,
        svg_file=out,
        json_file=json,
        console=Console(),
    )
