"""``headway entropy``: its options and its help."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from . import session_options as options


def entropy(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|FILE.jsonl", help="A run folder, or a file of rollouts.")
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The model that wrote them. Default: the run's latest weights."),
    ] = None,
    rollouts: Annotated[int, typer.Option(min=1, metavar="N", help="The last so many of the file.")] = 256,
    top: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="The share of tokens that counts as high.")
    ] = 0.2,
    first: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many tokens are the start of a turn.")
    ] = 8,
    show: Annotated[
        int, typer.Option(min=0, metavar="N", help="Rollouts shown in the page, token by token.")
    ] = 3,
    batch_tokens: Annotated[
        int, typer.Option(min=1, metavar="TOKENS", help="Of one forward pass, padding included.")
    ] = 8192,
    device: Annotated[str, typer.Option(metavar="cpu|cuda|cuda:N", help="Where the model runs.")] = "cpu",
    html: options.Html = None,
    json: options.Json = None,
) -> None:
    """Say where a policy hesitates: which places its tokens of highest entropy stand in.

    The model reads its own rollouts again, and the entropy of its distribution is computed at each token that
    it wrote. The rStar2-Agent paper finds high-entropy tokens where a model explores and reflects, and right
    after tool answers. Tokens are counted by place: after a tool's answer, at the start of another turn,
    inside code, in the rest of a tool call, inside the answer, elsewhere. The lift of a place is its share of
    the high tokens over its share of all.

    Ctrl-C ends it; what was measured by then is shown and written.
    """
    from .entropy_report import EntropyJob, run_entropy

    job = EntropyJob(
        source=source,
        model=model,
        rollouts=rollouts,
        top=top,
        first=first,
        show=show,
        batch_tokens=batch_tokens,
        device=device,
    )
    run_entropy(job, html_file=html, json_file=json, console=Console())
