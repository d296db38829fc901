"""The options of every command that reads a trace, and the struct that they fill."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from headway.errors import InputError

if TYPE_CHECKING:
    from headway.profiles.traces import TraceOptions

_FIT = "What is taken of the trace"
_CHATS = "Chats, which have neither times nor tokens"

TracePath = Annotated[
    Path,
    typer.Argument(
        metavar="TRACE", help="A run folder, an event log, sessions (of LLMServingSim, recorded) or chats."
    ),
]
Attempt = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Of a run that was resumed: which attempt. Default: the last."),
]
Clip = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="SECONDS",
        help="The longest wait between two turns. Default: as recorded.",
        rich_help_panel=_FIT,
    ),
]
MaxContext = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="TOKENS",
        help="The longest context. Default: as recorded.",
        rich_help_panel=_FIT,
    ),
]
TooLongOption = Annotated[
    str,
    typer.Option(
        metavar="cut|scale",
        help="What becomes of longer ones: they end there, or all their lengths shrink.",
        rich_help_panel=_FIT,
    ),
]
TurnLimit = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="TOKENS", help="The longest turn. Default: as recorded.", rich_help_panel=_FIT
    ),
]
Latency = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL",
        help="How long tools take: constant:1.5, lognormal:median=2,sigma=1, exponential:mean=3; of one tool "
        "python=constant:0.3. Repeatable.",
        rich_help_panel=_CHATS,
    ),
]
Tokenizer = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="A model folder whose tokenizer counts. Default: 4 characters are a token.",
        rich_help_panel=_CHATS,
    ),
]
LatencySeed = Annotated[int, typer.Option(help="Of the times drawn.", rich_help_panel=_CHATS)]


def trace_options(
    *,
    attempt: int | None = None,
    clip: float | None = None,
    max_context: int | None = None,
    too_long: str = "cut",
    turn_limit: int | None = None,
    latency: list[str] | None = None,
    tokenizer: Path | None = None,
    seed: int = 0,
) -> "TraceOptions":
    """Return the struct; raises ``InputError`` for what no option may be."""
    from typing import get_args

    from headway.profiles.traces import TraceOptions
    from headway.profiles.traces.options import TooLong

    if too_long not in get_args(TooLong):
        raise InputError(f"--too-long {too_long}: choose one of {', '.join(get_args(TooLong))}")
    return TraceOptions(
        attempt=attempt,
        clip_s=clip,
        max_context=max_context,
        too_long=cast("TooLong", too_long),
        turn_limit=turn_limit,
        latency=tuple(latency or ()),
        tokenizer=tokenizer,
        seed=seed,
    )
