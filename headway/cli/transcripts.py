"""``headway transcripts``: a few rollouts to read, on the terminal and as a page."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from . import session_options as options

if TYPE_CHECKING:
    from headway.scheduler import Rollout
    from headway.trainer.transcript import Transcript

Only = Literal["all", "right", "wrong", "failed"]
_STYLES = {"prompt": "dim", "model": "cyan", "tool": "yellow"}
_OUTCOMES = {"right": "bold green", "wrong": "bold red", "unscored": "bold", "failed": "bold magenta"}
_RESERVOIR = 64  # rollouts kept for each one shown, out of which right and wrong ones are chosen


def transcripts(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|FILE.jsonl", help="A run folder, or a file of rollouts.")
    ],
    n: Annotated[int, typer.Option("-n", min=1, metavar="N", help="Rollouts to show.")] = 5,
    model: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Whose tokenizer to read with. Default: what the run folder says."),
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="ID", help="Only rollouts of this task.")] = None,
    only: Annotated[
        Only, typer.Option(help="Only rollouts that came out like this.", show_choices=True)
    ] = "all",
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    html: options.Html = None,
    json: options.Json = None,
) -> None:
    """Show a few rollouts, coloured by who wrote what: the prompt, the model, the tools.

    They are drawn at random, right and wrong ones in turn. Each tool call has a mark for how it went.
    """
    from headway.trainer.transcript_page import transcripts_page

    from .output_file import write_json, write_whole

    shown = _draw(source, n=n, model=model, task=task, only=only, seed=seed)
    console = Console()
    for transcript in shown:
        print_transcript(console, transcript)
    if html is not None:
        write_whole(html, transcripts_page(f"{len(shown)} rollouts of {source}", shown).encode())
    if json is not None:
        write_json(json, shown)


def print_transcript(console: Console, transcript: "Transcript") -> None:
    """Print one, coloured."""
    from headway.trainer.transcript import say_call
    from headway.trainer.transcript_text import heading

    console.rule(style="dim")
    console.print(Text(heading(transcript), style=_OUTCOMES[transcript.outcome]), soft_wrap=True)
    for segment in transcript.segments:
        console.print(Text(segment.text.strip("\n"), style=_STYLES[segment.kind]), soft_wrap=True)
        for call in segment.calls:
            style = "bold red" if call.failed else "bold green"
            console.print(Text(f"  {say_call(call)}", style=style), soft_wrap=True)


def _draw(
    source: Path, *, n: int, model: str | None, task: str | None, only: Only, seed: int
) -> "list[Transcript]":
    from headway.errors import InputError
    from headway.trainer.rollout_file import read_rollouts
    from headway.trainer.transcript import choose, transcribe

    from .recorded import Recorded

    recorded = Recorded.find(source, model)
    decode = recorded.chat().transcript
    rng = random.Random(seed)
    wanted = (
        rollout for rollout in read_rollouts(recorded.rollouts) if _is_wanted(rollout, task=task, only=only)
    )
    drawn = choose(_reservoir(wanted, n * _RESERVOIR, rng), n, rng)
    if not drawn:
        raise InputError(f"{recorded.rollouts}: no rollout in it is asked for; leave out --task or --only")
    return [transcribe(rollout, decode) for rollout in drawn]


def _is_wanted(rollout: "Rollout", *, task: str | None, only: Only) -> bool:
    if task is not None and rollout.task != task:
        return False
    match only:
        case "right":
            return bool(rollout.reward)
        case "wrong":
            return rollout.reward == 0
        case "failed":
            return rollout.failure is not None
        case _:
            return True


def _reservoir(rollouts: "Iterator[Rollout]", size: int, rng: random.Random) -> "list[Rollout]":
    """A uniform draw of so many out of a file that need not fit into memory."""
    kept: list[Rollout] = []
    for number, rollout in enumerate(rollouts):
        if number < size:
            kept.append(rollout)
        elif (place := rng.randrange(number + 1)) < size:
            kept[place] = rollout
    return kept
